/* float32: offset - sum of ((x - mean) factor)^2 for each of n Gaussians, and the index of the greatest, the first of equals.
   A factor may serve all Gaussians or all features. */
#include "base.h"
#include "loops.h"

typedef struct {
  const float *means;   /* [n][features] */
  const float *factors; /* [n or 1][features or 1] */
  const float *offsets; /* [n] */
  int32_t n, features, next_gaussian, next_feature;
} log_gaussian_f32_t;

static void log_gaussian_f32(const log_gaussian_f32_t *p, const float *x, int32_t *label, float *y) {
  const float *mean = p->means;
  int32_t best = 0;
  for (int32_t i = 0; i < p->n; i++) {
    const float *a = p->factors + i * p->next_gaussian;
    float sum = 0.0f;
    LILLIPUT_ROLLED for (int32_t f = 0; f < p->features; f++, a += p->next_feature) {
      const float t = (x[f] - *mean++) * *a;
      sum += t * t;
    }
    y[i] = p->offsets[i] - sum;
    best = y[i] > y[best] ? i : best;
  }
  label[0] = best;
}
