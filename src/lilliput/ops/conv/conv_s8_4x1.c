/* int8 convolution of an output row of one pixel, 4 channels at a time: linear layers, windows as wide as the input.
   The input's zero point is folded into the bias; every channel shifts right (proved offline). */
#include "loops.h"
#include "rows.h"
#include "requantize.h"

typedef struct {
  const int8_t *w;  /* [oc / 4][taps][4], then [oc % 4][taps] */
  const int32_t *q; /* [oc / 4]{bias[4], mult[4], four shifts in a word}, then [oc % 4]{bias, mult, shift} */
  int32_t length, oc, kh; /* kw * ic taps lie side by side in a row */
  int32_t two_zp_1, lo, hi;
} conv_s8_4x1_t;

static void conv_s8_4x1(const void *params, const void *const *rows, void *out, void *scratch) {
  const conv_s8_4x1_t *p = params;
  const int8_t *w = p->w;
  const int32_t *q = p->q;
  int8_t *y = out;
  int32_t left = p->oc;
  (void)scratch;
  for (; left >= 4; left -= 4, q += 9, y += 4) {
    int32_t a0 = q[0], a1 = q[1], a2 = q[2], a3 = q[3];
    for (int32_t ky = 0; ky < p->kh; ky++) {
      const int8_t *x = rows[ky];
      for (int32_t k = p->length >> 2; k > 0; k--, x += 4, w += 16) {
        const int32_t s = x[0], t = x[1], u = x[2], v = x[3];
        a0 += s * w[0];
        a1 += s * w[1];
        a2 += s * w[2];
        a3 += s * w[3];
        a0 += t * w[4];
        a1 += t * w[5];
        a2 += t * w[6];
        a3 += t * w[7];
        a0 += u * w[8];
        a1 += u * w[9];
        a2 += u * w[10];
        a3 += u * w[11];
        a0 += v * w[12];
        a1 += v * w[13];
        a2 += v * w[14];
        a3 += v * w[15];
      }
      LILLIPUT_ROLLED
      for (int32_t k = p->length & 3; k > 0; k--, x++, w += 4) {
        a0 += *x * w[0];
        a1 += *x * w[1];
        a2 += *x * w[2];
        a3 += *x * w[3];
      }
    }
    const int32_t n = q[8], z = p->two_zp_1;
    y[0] = saturate_s8(scale_right(a0, q[4], n & 31, z));
    y[1] = saturate_s8(scale_right(a1, q[5], n >> 8 & 31, z));
    y[2] = saturate_s8(scale_right(a2, q[6], n >> 16 & 31, z));
    y[3] = saturate_s8(scale_right(a3, q[7], n >> 24 & 31, z));
  }
  for (; left > 0; left--, q += 3, y++) {
    int32_t a = q[0];
    for (int32_t ky = 0; ky < p->kh; ky++) {
      const int8_t *x = rows[ky];
      LILLIPUT_ROLLED
      for (int32_t k = p->length; k > 0; k--) a += *x++ * *w++;
    }
    *y = saturate_s8(scale_right(a, q[1], q[2] & 31, p->two_zp_1));
  }
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(out, p->oc, p->lo, p->hi);
}
