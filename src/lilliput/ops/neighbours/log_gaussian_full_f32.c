/* float32: offset - |(x - mean) P|^2 for each of n Gaussians, P upper triangular, and the index of the greatest, the first of equals. */
#include "base.h"
#include "loops.h"

typedef struct {
  const float *means;   /* [n][features] */
  const float *factors; /* [n][features (features + 1) / 2]: the columns of P one after the other, down to the diagonal */
  const float *offsets; /* [n] */
  int32_t n, features;
} log_gaussian_full_f32_t;

static void log_gaussian_full_f32(const log_gaussian_full_f32_t *p, const float *x, int32_t *label, float *y, void *scratch) {
  const float *mean = p->means, *a = p->factors;
  float *d = scratch; /* [features] */
  int32_t best = 0;
  for (int32_t i = 0; i < p->n; i++, mean += p->features) {
    float sum = 0.0f;
    for (int32_t f = 0; f < p->features; f++) d[f] = x[f] - mean[f];
    for (int32_t last = 0; last < p->features; last++) {
      float t = 0.0f;
      LILLIPUT_ROLLED for (int32_t f = 0; f <= last; f++) t += d[f] * *a++;
      sum += t * t;
    }
    y[i] = p->offsets[i] - sum;
    best = y[i] > y[best] ? i : best;
  }
  label[0] = best;
}
