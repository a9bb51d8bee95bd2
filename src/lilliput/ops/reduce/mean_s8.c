/* int8 mean: up to three loops over what stays around up to three over what is averaged. */
#include "requantize.h"

typedef struct {
  int32_t k0, k0_stride, k1, k1_stride, k2, k2_stride; /* kept: count, stride in elements */
  int32_t r0, r0_stride, r1, r1_stride, r2, r2_stride; /* reduced */
  int32_t offset, mult, shift, out_zp;                 /* offset: -zero point x number of values */
} mean_s8_t;

LILLIPUT_INLINE int32_t mean_s8_sum(const mean_s8_t *p, const int8_t *x) {
  int32_t sum = 0;
  for (int32_t a = 0; a < p->r0; a++) {
    for (int32_t b = 0; b < p->r1; b++) {
      const int8_t *v = x + a * p->r0_stride + b * p->r1_stride;
      for (int32_t c = 0; c < p->r2; c++) sum += v[c * p->r2_stride];
    }
  }
  return sum;
}

static void mean_s8(const mean_s8_t *p, const int8_t *x, int8_t *y) {
  for (int32_t a = 0; a < p->k0; a++) {
    for (int32_t b = 0; b < p->k1; b++) {
      for (int32_t c = 0; c < p->k2; c++) {
        const int32_t sum = mean_s8_sum(p, x + a * p->k0_stride + b * p->k1_stride + c * p->k2_stride);
        const int32_t scaled = scale_by(sum + p->offset, p->mult, p->shift);
        *y++ = saturate_s8(wrapping_add(scaled, p->out_zp));
      }
    }
  }
}
