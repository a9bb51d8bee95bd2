/* float32 x / max(|x|_p, epsilon) along the middle of three axes, p 1 or 2. May run in place.
   Order of accumulation: as the values lie in memory. */
#include "logarithm_f32.h"

typedef struct {
  int32_t outer, n, inner, p;
  float epsilon;
} lp_norm_f32_t;

static void lp_norm_f32(const lp_norm_f32_t *p, const float *x, float *y) {
  for (int32_t o = 0; o < p->outer; o++, x += p->n * p->inner, y += p->n * p->inner) {
    for (int32_t i = 0; i < p->inner; i++) {
      float sum = 0.0f;
      for (int32_t k = 0; k < p->n; k++) {
        const float v = x[k * p->inner + i];
        sum += p->p == 1 ? abs_of(v) : v * v;
      }
      const float norm = p->p == 1 ? sum : sqrt_of(sum);
      const float divisor = norm < p->epsilon ? p->epsilon : norm;
      for (int32_t k = 0; k < p->n; k++) y[k * p->inner + i] = x[k * p->inner + i] / divisor;
    }
  }
}
