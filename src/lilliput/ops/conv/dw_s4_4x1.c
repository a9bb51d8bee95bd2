/* int8 depthwise convolution of one output row with weights of four bits, one output per input channel: 4 channels of a
   pixel at a time. The input's zero point is folded into the bias; every channel shifts right (proved offline). Where
   four does not divide the channels, the last block starts earlier and computes some of them again. */
#include "int4.h"
#include "rows.h"
#include "requantize.h"

typedef struct {
  const uint8_t *w;        /* [blocks][taps][4], two to a byte */
  const int32_t *q;        /* [blocks]{bias[4], mult[4], four shifts in a word} */
  const int8_t *pad_pixel; /* [oc] zero points */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad;
  int32_t two_zp_1, lo, hi;
} dw_s4_4x1_t;

static void dw_s4_4x1(const void *params, const void *const *rows, void *out, void *scratch) {
  const dw_s4_4x1_t *p = params;
  const int32_t z = p->two_zp_1;
  int8_t *const row_out = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++) {
    const uint8_t *w = p->w;
    const int32_t *q = p->q;
    for (int32_t c = 0; c < p->oc; c += 4, q += 9) {
      const int32_t channel = min_i32(c, p->oc - 4);
      int32_t a0 = q[0], a1 = q[1], a2 = q[2], a3 = q[3];
      for (int32_t ky = 0; ky < p->kh; ky++) {
        const int8_t *const row = rows[ky];
        int32_t ix = ox * p->stride - p->pad;
        for (int32_t kx = 0; kx < p->kw; kx++, ix += p->dilation, w += 2) {
          const int8_t *x = (ix < 0 || ix >= p->iw ? p->pad_pixel : row + ix * p->ic) + channel;
          const uint32_t both = (uint32_t)w[0] | (uint32_t)w[1] << 8;
          a0 += x[0] * low_int4(both);
          a1 += x[1] * low_int4(both >> 4);
          a2 += x[2] * low_int4(both >> 8);
          a3 += x[3] * low_int4(both >> 12);
        }
      }
      int8_t *const y = row_out + ox * p->oc + channel;
      y[0] = saturate_s8(scale_right(a0, q[4], q[8] & 31, z));
      y[1] = saturate_s8(scale_right(a1, q[5], q[8] >> 8 & 31, z));
      y[2] = saturate_s8(scale_right(a2, q[6], q[8] >> 16 & 31, z));
      y[3] = saturate_s8(scale_right(a3, q[7], q[8] >> 24 & 31, z));
    }
  }
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(row_out, p->ow * p->oc, p->lo, p->hi);
}
