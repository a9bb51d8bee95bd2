/* float32 mean: up to three loops over what stays around up to three over what is averaged.
   Order of accumulation: as the values lie in memory; then one division. */
#include "base.h"

typedef struct {
  int32_t k0, k0_stride, k1, k1_stride, k2, k2_stride; /* kept: count, stride in elements */
  int32_t r0, r0_stride, r1, r1_stride, r2, r2_stride; /* reduced */
  float count;
} mean_f32_t;

LILLIPUT_INLINE float mean_f32_sum(const mean_f32_t *p, const float *x) {
  float sum = 0.0f;
  for (int32_t a = 0; a < p->r0; a++) {
    for (int32_t b = 0; b < p->r1; b++) {
      const float *v = x + a * p->r0_stride + b * p->r1_stride;
      for (int32_t c = 0; c < p->r2; c++) sum += v[c * p->r2_stride];
    }
  }
  return sum;
}

static void mean_f32(const mean_f32_t *p, const float *x, float *y) {
  for (int32_t a = 0; a < p->k0; a++) {
    for (int32_t b = 0; b < p->k1; b++) {
      for (int32_t c = 0; c < p->k2; c++) {
        *y++ = mean_f32_sum(p, x + a * p->k0_stride + b * p->k1_stride + c * p->k2_stride) / p->count;
      }
    }
  }
}
