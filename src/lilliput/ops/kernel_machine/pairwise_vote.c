/* Decisions of type T between pairs of classes -> int32 index of the class with most votes, the first of equals. One decision alone
   chooses between two classes: the second one where it is positive. */
#include "base.h"

typedef struct {
  int32_t classes;
  T zero; /* above it a decision is positive */
} KERNEL_t;

/* The pairs (0, c), (1, c), ... lie apart by one less each time; (c, c + 1), (c, c + 2), ... lie together. */
static void KERNEL(const KERNEL_t *p, const T *x, int32_t *y) {
  int32_t best = -1, index = 0;
  if (p->classes == 2) {
    y[0] = x[0] > p->zero ? 1 : 0;
    return;
  }
  for (int32_t c = 0, first = 0; c < p->classes; first += p->classes - c - 1, c++) {
    int32_t votes = 0, pair = c - 1;
    for (int32_t r = 0; r < c; pair += p->classes - r - 2, r++) votes += x[pair] > p->zero ? 0 : 1;
    for (int32_t r = 0; r < p->classes - c - 1; r++) votes += x[first + r] > p->zero ? 1 : 0;
    if (votes > best) {
      best = votes;
      index = c;
    }
  }
  y[0] = index;
}
