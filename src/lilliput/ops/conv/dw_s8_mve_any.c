/* int8 depthwise convolution of one output row with MVE, windows of any shape: eight channels of a pixel at a time.
   What a window sees is first listed as pointers, one per tap; outside the row they point to zero points. Every channel
   shifts right (proved offline). Where eight does not divide the channels, the last eight overlap those before. */
#include "mve_copy.h"
#include "mve_requantize.h"
#include "rows.h"

enum { DW_S8_MVE_ANY_TAPS = 49 }; /* the largest window */

typedef struct {
  /* [oc / 8]{bias[8], int8 [taps][8], mult[8], shift[8]}; of the int32, even channels come before odd ones. */
  const int32_t *w;
  int32_t iw, ow, oc, kh, kw, stride, dilation, pad;
  int32_t in_zp, out_zp, lo, hi;
} dw_s8_mve_any_t;

/* All channels of one pixel. */
LILLIPUT_NOINLINE static void dw_s8_mve_any_pixel(const dw_s8_mve_any_t *p, const int8_t *const *taps,
                                                  const int8_t *const *end, int8_t *y) {
  const int32_t *w = p->w;
  const int16x8_t lo = vdupq_n_s16((int16_t)p->lo), hi = vdupq_n_s16((int16_t)p->hi);
  for (int32_t c = 0; c < p->oc; c += 8) {
    const int32_t channel = min_i32(c, p->oc - 8);
    int32x4_t even = vld1q_s32(w), odd = vld1q_s32(w + 4);
    w += 8;
    LILLIPUT_ROLLED for (const int8_t *const *tap = taps; tap != end; w += 2) {
      const int16x8_t x = vldrbq_s16(*tap++ + channel), k = vldrbq_s16((const int8_t *)w);
      even = vaddq_s32(even, vmullbq_int_s16(x, k));
      odd = vaddq_s32(odd, vmulltq_int_s16(x, k));
    }
    even = mve_scale_lanes(even, vld1q_s32(w), vld1q_s32(w + 8));
    odd = mve_scale_lanes(odd, vld1q_s32(w + 4), vld1q_s32(w + 12));
    w += 16;
    const int16x8_t both = vqmovntq_s32(vqmovnbq_s32(lo, even), odd);
    vstrbq_s16(y + channel, vminq_s16(vmaxq_s16(vqaddq_n_s16(both, (int16_t)p->out_zp), lo), hi));
  }
}

static void dw_s8_mve_any(const void *params, const void *const *rows, void *out, void *scratch) {
  const dw_s8_mve_any_t *p = params;
  const int8_t *taps[DW_S8_MVE_ANY_TAPS];
  const uint32_t iw = (uint32_t)p->iw;
  mve_fill(scratch, p->in_zp, p->oc);
  for (int32_t ox = 0; ox < p->ow; ox++) {
    const int8_t **tap = taps;
    LILLIPUT_ROLLED for (int32_t ky = 0; ky < p->kh; ky++) {
      const int8_t *const row = rows[ky];
      const int8_t **const end = tap + p->kw;
      int32_t ix = ox * p->stride - p->pad;
      LILLIPUT_ROLLED for (; tap != end; ix += p->dilation) *tap++ = (uint32_t)ix < iw ? row + ix * p->oc : scratch;
    }
    dw_s8_mve_any_pixel(p, taps, tap, (int8_t *)out + ox * p->oc);
  }
}
