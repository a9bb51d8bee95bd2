/* int8 depthwise convolution of one output row, one output per input channel: 4 channels of a pixel at a time.
   What a window sees is first listed as pointers, one per tap; outside the row they point to zero points.
   The input's zero point is folded into the bias; every channel shifts right (proved offline). Where four does not
   divide the channels, the last block starts earlier and computes some of them again. */
#include "loops.h"
#include "rows.h"
#include "requantize.h"

enum { DW_S8_4X1_TAPS = 25 }; /* the largest window */

typedef struct {
  const int8_t *w;         /* [blocks][taps][4] */
  const int32_t *q;        /* [blocks]{bias[4], mult[4], four shifts in a word} */
  const int8_t *pad_pixel; /* [oc] zero points */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad;
  int32_t two_zp_1, lo, hi;
} dw_s8_4x1_t;

/* All channels of one pixel. */
LILLIPUT_NOINLINE static void dw_s8_4x1_pixel(const dw_s8_4x1_t *p, const int8_t *const *taps, const int8_t *const *end,
                                              int8_t *y) {
  const int8_t *w = p->w;
  const int32_t *q = p->q;
  for (int32_t c = 0; c < p->oc; c += 4, q += 9) {
    const int32_t channel = min_i32(c, p->oc - 4);
    int32_t a0 = q[0], a1 = q[1], a2 = q[2], a3 = q[3];
    const int8_t *const *tap = taps;
    do {
      const int8_t *x = *tap++ + channel;
      a0 += x[0] * w[0];
      a1 += x[1] * w[1];
      a2 += x[2] * w[2];
      a3 += x[3] * w[3];
      w += 4;
    } while (tap != end);
    const int32_t n = q[8], z = p->two_zp_1;
    int8_t *const out = y + channel;
    out[0] = saturate_s8(scale_right(a0, q[4], n & 31, z));
    out[1] = saturate_s8(scale_right(a1, q[5], n >> 8 & 31, z));
    out[2] = saturate_s8(scale_right(a2, q[6], n >> 16 & 31, z));
    out[3] = saturate_s8(scale_right(a3, q[7], n >> 24 & 31, z));
  }
}

static void dw_s8_4x1(const void *params, const void *const *rows, void *out, void *scratch) {
  const dw_s8_4x1_t *p = params;
  const uint32_t iw = (uint32_t)p->iw;
  const int8_t *taps[DW_S8_4X1_TAPS];
  int8_t *const y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++) {
    const int8_t **tap = taps;
    LILLIPUT_ROLLED
    for (int32_t ky = 0; ky < p->kh; ky++) {
      const int8_t *const row = rows[ky];
      const int8_t **const end = tap + p->kw;
      int32_t ix = ox * p->stride - p->pad;
      LILLIPUT_ROLLED
      for (; tap != end; ix += p->dilation) *tap++ = (uint32_t)ix < iw ? row + ix * p->ic : p->pad_pixel;
    }
    dw_s8_4x1_pixel(p, taps, tap, y + ox * p->oc);
  }
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(y, p->ow * p->oc, p->lo, p->hi);
}
