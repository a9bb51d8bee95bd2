/* float32 local response normalization: x / (base + alpha sum)^beta, the sum over the squares of neighbouring channels,
   channels last. Order of accumulation: as the values lie in memory. */
#include "logarithm_f32.h"

typedef struct {
  int32_t rows, n, before, after;
  float base, alpha, beta;
} lrn_f32_t;

static void lrn_f32(const lrn_f32_t *p, const float *x, float *y) {
  for (int32_t r = 0; r < p->rows; r++, x += p->n, y += p->n) {
    for (int32_t i = 0; i < p->n; i++) {
      const int32_t first = max_i32(i - p->before, 0), last = min_i32(i + p->after, p->n - 1);
      float sum = 0.0f;
      for (int32_t k = first; k <= last; k++) sum += x[k] * x[k];
      y[i] = x[i] / pow_floats(p->base + p->alpha * sum, p->beta);
    }
  }
}
