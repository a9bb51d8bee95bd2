/* int8 or int16 mean: up to three loops over what stays around up to three over what is averaged. */
#include "requantize.h"

typedef struct {
  int32_t k0, k0_stride, k1, k1_stride, k2, k2_stride; /* kept: count, stride in elements */
  int32_t r0, r0_stride, r1, r1_stride, r2, r2_stride; /* reduced */
  int32_t offset, mult, shift, out_zp, lo, hi;         /* offset: -zero point x number of values */
} KERNEL_t;

LILLIPUT_INLINE int32_t KERNEL_sum(const KERNEL_t *p, const T *x) {
  int32_t sum = 0;
  for (int32_t a = 0; a < p->r0; a++) {
    for (int32_t b = 0; b < p->r1; b++) {
      const T *v = x + a * p->r0_stride + b * p->r1_stride;
      for (int32_t c = 0; c < p->r2; c++) sum += v[c * p->r2_stride];
    }
  }
  return sum;
}

static void KERNEL(const KERNEL_t *p, const T *x, T *y) {
  for (int32_t a = 0; a < p->k0; a++) {
    for (int32_t b = 0; b < p->k1; b++) {
      for (int32_t c = 0; c < p->k2; c++) {
        const int32_t sum = KERNEL_sum(p, x + a * p->k0_stride + b * p->k1_stride + c * p->k2_stride);
        const int32_t scaled = scale_by(sum + p->offset, p->mult, p->shift);
        *y++ = (T)clamp_i32(wrapping_add(scaled, p->out_zp), p->lo, p->hi);
      }
    }
  }
}
