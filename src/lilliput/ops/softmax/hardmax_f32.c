/* float32 one-hot of the greatest value of rows; the first of equals wins, NaN never does. May run in place. */
#include "base.h"

typedef struct {
  int32_t rows, n;
} hardmax_f32_t;

static void hardmax_f32(const hardmax_f32_t *p, const float *x, float *y) {
  for (int32_t r = 0; r < p->rows; r++, x += p->n, y += p->n) {
    int32_t best = 0;
    for (int32_t i = 1; i < p->n; i++) {
      if (x[i] > x[best] || (x[best] != x[best] && x[i] == x[i])) best = i;
    }
    for (int32_t i = 0; i < p->n; i++) y[i] = i == best ? 1.0f : 0.0f;
  }
}
