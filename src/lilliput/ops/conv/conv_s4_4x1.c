/* int8 convolution of an output row of one pixel with weights of four bits, 4 channels at a time: linear layers.
   The input's zero point is folded into the bias; every channel shifts right (proved offline). */
#include "int4.h"
#include "loops.h"
#include "requantize.h"
#include "rows.h"

typedef struct {
  const uint8_t *w; /* [oc / 4][taps][4], then [oc % 4][taps], each of which begins a byte */
  const int32_t *q; /* [oc / 4]{bias[4], mult[4], four shifts in a word}, then [oc % 4]{bias, mult, shift} */
  int32_t length, oc, kh; /* kw * ic taps lie side by side in a row */
  int32_t two_zp_1, lo, hi;
} conv_s4_4x1_t;

static void conv_s4_4x1(const void *params, const void *const *rows, void *out, void *scratch) {
  const conv_s4_4x1_t *p = params;
  const uint8_t *w = p->w;
  const int32_t *q = p->q;
  int8_t *y = out;
  int32_t left = p->oc;
  (void)scratch;
  for (; left >= 4; left -= 4, q += 9, y += 4) {
    int32_t a0 = q[0], a1 = q[1], a2 = q[2], a3 = q[3];
    for (int32_t ky = 0; ky < p->kh; ky++) {
      const int8_t *x = rows[ky];
      for (int32_t k = p->length; k > 0; k--, w += 2) {
        const uint32_t both = (uint32_t)w[0] | (uint32_t)w[1] << 8;
        const int32_t s = *x++;
        a0 += s * low_int4(both);
        a1 += s * low_int4(both >> 4);
        a2 += s * low_int4(both >> 8);
        a3 += s * low_int4(both >> 12);
      }
    }
    const int32_t n = q[8], z = p->two_zp_1;
    y[0] = saturate_s8(scale_right(a0, q[4], n & 31, z));
    y[1] = saturate_s8(scale_right(a1, q[5], n >> 8 & 31, z));
    y[2] = saturate_s8(scale_right(a2, q[6], n >> 16 & 31, z));
    y[3] = saturate_s8(scale_right(a3, q[7], n >> 24 & 31, z));
  }
  for (; left > 0; left--, q += 3, y++) {
    int32_t a = q[0], at = 0;
    for (int32_t ky = 0; ky < p->kh; ky++) {
      const int8_t *x = rows[ky];
      LILLIPUT_ROLLED
      for (int32_t k = p->length; k > 0; k--) a += *x++ * int4_at(w, at++);
    }
    w += (at + 1) >> 1;
    *y = saturate_s8(scale_right(a, q[1], q[2] & 31, p->two_zp_1));
  }
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(out, p->oc, p->lo, p->hi);
}
