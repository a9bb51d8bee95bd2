/* Every result along one axis as a weighted sum of a few elements, float32: added up in the order of the taps. */
#include "base.h"

typedef struct {
  const int32_t *indices; /* [m][taps] */
  const float *weights;   /* [m][taps] */
  int32_t outer, n, m, inner, taps;
} interpolate_f32_t;

static void interpolate_f32(const interpolate_f32_t *p, const float *x, float *y) {
  for (int32_t o = 0; o < p->outer; o++, x += p->n * p->inner) {
    for (int32_t i = 0; i < p->m; i++) {
      const int32_t *at = p->indices + i * p->taps;
      const float *w = p->weights + i * p->taps;
      for (int32_t c = 0; c < p->inner; c++) {
        float sum = 0.0f;
        for (int32_t t = 0; t < p->taps; t++) sum += w[t] * x[at[t] * p->inner + c];
        *y++ = sum;
      }
    }
  }
}
