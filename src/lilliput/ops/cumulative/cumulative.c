/* Running sums or products along one axis, in the order of the axis or, reversed, from its end. */
#include "combine.h"

typedef struct {
  int32_t outer, n, inner, exclusive, reverse, neutral; /* x is [outer][n][inner]; exclusive: without the element itself */
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const T *x, T *y) {
  const int32_t step = p->reverse ? -p->inner : p->inner;
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t c = 0; c < p->inner; c++) {
      T sum = (T)p->neutral;
      int32_t at = o * p->n * p->inner + (p->reverse ? (p->n - 1) * p->inner : 0) + c;
      for (int32_t i = 0; i < p->n; i++, at += step) {
        const T next = F(sum, x[at]);
        y[at] = p->exclusive ? sum : next;
        sum = next;
      }
    }
  }
}
