/* The 4x2 kernel for cores whose multiplier takes either half of a word (SMLABB, SMLABT): the windows of two pixels are
   gathered as one word per tap, so that a pair is one load and one register: 13 instructions for 8 products. */
#include "loops.h"
#include "rows.h"
#include "requantize.h"

typedef struct {
  const int8_t *w;  /* [oc / 4][taps][4], then [oc % 4][taps] */
  const int32_t *q; /* [oc / 4]{bias[4], mult[4], four shifts in a word}, then [oc % 4]{bias, mult, shift} */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad;
  int32_t in_zp, two_zp_1, lo, hi;
} conv_s8_pairs_t;

/* n taps of two pixels, the first pixel's in the lower halves. A step of 0 repeats one value. */
LILLIPUT_INLINE int32_t *conv_s8_pairs_join(int32_t *to, const int8_t *x0, int32_t step0, const int8_t *x1, int32_t step1,
                                            int32_t n) {
  LILLIPUT_ROLLED
  for (; n > 0; n--, x0 += step0, x1 += step1) *to++ = (int32_t)((uint32_t)*x1 << 16 | (uint16_t)*x0);
  return to;
}

/* The windows of the output pixels `ox` and `ox + 1`, [kh][kw][ic]; zero points outside the row. */
LILLIPUT_NOINLINE static void conv_s8_pairs_gather(const conv_s8_pairs_t *p, const void *const *rows, int32_t ox,
                                                   int32_t *to) {
  const int8_t zero_point = (int8_t)p->in_zp;
  const int32_t ix0 = ox * p->stride - p->pad;
  const int inside = p->dilation == 1 && ix0 >= 0 && ix0 + p->stride + p->kw <= p->iw;
  for (int32_t ky = 0; ky < p->kh; ky++) {
    const int8_t *const row = rows[ky];
    if (inside) {
      const int8_t *x = row + ix0 * p->ic;
      to = conv_s8_pairs_join(to, x, 1, x + p->stride * p->ic, 1, p->kw * p->ic);
      continue;
    }
    for (int32_t kx = 0, ix = ix0; kx < p->kw; kx++, ix += p->dilation) {
      const int in0 = ix >= 0 && ix < p->iw, in1 = ix + p->stride >= 0 && ix + p->stride < p->iw;
      const int8_t *x0 = in0 ? row + ix * p->ic : &zero_point;
      const int8_t *x1 = in1 ? row + (ix + p->stride) * p->ic : &zero_point;
      to = conv_s8_pairs_join(to, x0, in0, x1, in1, p->ic);
    }
  }
}

/* All channels of two pixels from their pairs of taps. */
LILLIPUT_NOINLINE static void conv_s8_pairs_block(const conv_s8_pairs_t *p, const int32_t *pairs, int32_t taps,
                                                  int8_t *y0) {
  const int8_t *w = p->w;
  const int32_t *q = p->q;
  int8_t *y1 = y0 + p->oc;
  int32_t left = p->oc;
  for (; left >= 4; left -= 4, q += 9, y0 += 4, y1 += 4) {
    int32_t a0 = q[0], a1 = q[1], a2 = q[2], a3 = q[3];
    int32_t b0 = a0, b1 = a1, b2 = a2, b3 = a3;
    const int32_t *x = pairs;
    do {
      const int32_t s = (int16_t)x[0], t = x[0] >> 16;
      a0 += s * w[0];
      b0 += t * w[0];
      a1 += s * w[1];
      b1 += t * w[1];
      a2 += s * w[2];
      b2 += t * w[2];
      a3 += s * w[3];
      b3 += t * w[3];
      x += 1;
      w += 4;
    } while (x != pairs + taps);
    put_two_s8(y0, y1, a0, b0, q[4], q[8], p->two_zp_1);
    put_two_s8(y0 + 1, y1 + 1, a1, b1, q[5], q[8] >> 8, p->two_zp_1);
    put_two_s8(y0 + 2, y1 + 2, a2, b2, q[6], q[8] >> 16, p->two_zp_1);
    put_two_s8(y0 + 3, y1 + 3, a3, b3, q[7], q[8] >> 24, p->two_zp_1);
  }
  for (; left > 0; left--, q += 3, y0++, y1++) {
    int32_t a = q[0], b = a;
    const int32_t *x = pairs;
    LILLIPUT_ROLLED
    for (int32_t k = taps; k > 0; k--, x += 1, w++) {
      a += (int16_t)x[0] * *w;
      b += (x[0] >> 16) * *w;
    }
    put_two_s8(y0, y1, a, b, q[1], q[2], p->two_zp_1);
  }
}

static void conv_s8_pairs(const void *params, const void *const *rows, void *out, void *scratch) {
  const conv_s8_pairs_t *p = params;
  int32_t *const pairs = scratch;
  int8_t *const y = out;
  for (int32_t ox = 0; ox < p->ow; ox += 2) {
    const int32_t first = min_i32(ox, p->ow - 2); /* an odd row's last pair computes one pixel again */
    conv_s8_pairs_gather(p, rows, first, pairs);
    conv_s8_pairs_block(p, pairs, p->kh * p->kw * p->ic, y + first * p->oc);
  }
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(y, p->ow * p->oc, p->lo, p->hi);
}
