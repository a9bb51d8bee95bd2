/* mul_s8_flat with MVE, four at a time. May run in place on either operand. */
#include "mve_requantize.h"

typedef struct {
  int32_t n, a_zp, b_zp, mult, shift, out_zp, lo, hi; /* shift negative: right */
} mul_s8_flat_mve_t;

static void mul_s8_flat_mve(const mul_s8_flat_mve_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  const mul_s8_flat_mve_t k = *p;
  const int32x4_t lo = vdupq_n_s32(k.lo), hi = vdupq_n_s32(k.hi);
  LILLIPUT_ROLLED for (int32_t n = k.n; n > 0; n -= 4, a += 4, b += 4, y += 4) {
    const mve_pred16_t some = vctp32q((uint32_t)n);
    const int32x4_t u = vsubq_n_s32(vldrbq_z_s32(a, some), k.a_zp), v = vsubq_n_s32(vldrbq_z_s32(b, some), k.b_zp);
    const int32x4_t scaled = vaddq_n_s32(mve_scale_right(vmulq_s32(u, v), k.mult, k.shift), k.out_zp);
    vstrbq_p_s32(y, vminq_s32(vmaxq_s32(scaled, lo), hi), some);
  }
}
