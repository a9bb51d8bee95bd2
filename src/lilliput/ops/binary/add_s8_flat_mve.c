/* add_s8_flat with MVE, four at a time, any clamp. May run in place on either operand.
   Everything is added to the wide operand's count: what `narrow` became, and the zero points. */
#include "mve_requantize.h"

typedef struct {
  int32_t n, swapped, wide_up, wide_from, narrow_up, narrow_from, narrow_mult, narrow_shift;
  int32_t out_mult, out_shift, out_zp, lo, hi; /* shifts negative: right */
} add_s8_flat_mve_t;

/* Constant `relu`: results below the zero point are clamped to it or to more. */
LILLIPUT_INLINE void add_s8_flat_mve_all(const add_s8_flat_mve_t *p, const int8_t *wide, const int8_t *narrow, int8_t *y,
                                         int relu) {
  const int32x4_t lo = vdupq_n_s32(p->lo), hi = vdupq_n_s32(p->hi), from = vdupq_n_s32(p->narrow_from);
  LILLIPUT_ROLLED for (int32_t n = p->n; n > 0; n -= 4, wide += 4, narrow += 4, y += 4) {
    const mve_pred16_t some = vctp32q((uint32_t)n);
    const int32x4_t v = vmlaq_n_s32(from, vldrbq_z_s32(narrow, some), p->narrow_up);
    const int32x4_t u = mve_scale_right(v, p->narrow_mult, p->narrow_shift);
    const int32x4_t sum = vaddq_n_s32(vmlaq_n_s32(u, vldrbq_z_s32(wide, some), p->wide_up), p->wide_from);
    const int32x4_t scaled = relu ? mve_scale_right_relu(sum, p->out_mult, p->out_shift)
                                  : mve_scale_right(sum, p->out_mult, p->out_shift);
    vstrbq_p_s32(y, vminq_s32(vmaxq_s32(vaddq_n_s32(scaled, p->out_zp), lo), hi), some);
  }
}

static void add_s8_flat_mve(const add_s8_flat_mve_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  const add_s8_flat_mve_t k = *p;
  const int8_t *wide = k.swapped ? b : a, *narrow = k.swapped ? a : b;
  if (k.lo >= k.out_zp) {
    add_s8_flat_mve_all(&k, wide, narrow, y, 1);
  } else {
    add_s8_flat_mve_all(&k, wide, narrow, y, 0);
  }
}
