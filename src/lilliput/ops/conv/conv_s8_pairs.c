/* The 4x2 kernel for cores whose multiplier takes either half of a word (SMLABB, SMLABT): the windows of two pixels are
   gathered as one word per tap, the first pixel in its lower half, so that a pair is one load and one register:
   13 instructions for 8 products. */
#include "rows.h"
#include "two_pixels.h"

typedef two_pixels_t conv_s8_pairs_t;

/* n taps of two pixels, the first pixel's in the lower halves. A step of 0 repeats one value. */
LILLIPUT_INLINE int32_t *conv_s8_pairs_join(int32_t *to, const int8_t *x0, int32_t step0, const int8_t *x1, int32_t step1,
                                            int32_t n) {
  LILLIPUT_ROLLED
  for (; n > 0; n--, x0 += step0, x1 += step1) *to++ = (int32_t)((uint32_t)*x1 << 16 | (uint16_t)*x0);
  return to;
}

/* The windows of the output pixel `ox` and of one `apart` input pixels behind it, [kh][kw][ic]; zero points outside
   the row. */
LILLIPUT_NOINLINE static void conv_s8_pairs_gather(const conv_s8_pairs_t *p, const void *const *rows, int32_t ox,
                                                   int32_t apart, void *pairs) {
  int32_t *to = pairs;
  const int8_t zero_point = (int8_t)p->in_zp;
  const int32_t ix0 = ox * p->stride - p->pad;
  const int inside = p->dilation == 1 && ix0 >= 0 && ix0 + apart + p->kw <= p->iw;
  for (int32_t ky = 0; ky < p->kh; ky++) {
    const int8_t *const row = rows[ky];
    if (inside) {
      const int8_t *x = row + ix0 * p->ic;
      to = conv_s8_pairs_join(to, x, 1, x + apart * p->ic, 1, p->kw * p->ic);
      continue;
    }
    for (int32_t kx = 0, ix = ix0; kx < p->kw; kx++, ix += p->dilation) {
      const int in0 = ix >= 0 && ix < p->iw, in1 = ix + apart >= 0 && ix + apart < p->iw;
      const int8_t *x0 = in0 ? row + ix * p->ic : &zero_point;
      const int8_t *x1 = in1 ? row + (ix + apart) * p->ic : &zero_point;
      to = conv_s8_pairs_join(to, x0, in0, x1, in1, p->ic);
    }
  }
}

LILLIPUT_INLINE void conv_s8_pairs_take(const void *pair, int32_t *first, int32_t *second) {
  const int32_t *x = pair;
  *first = (int16_t)*x;
  *second = *x >> 16;
}

LILLIPUT_NOINLINE static void conv_s8_pairs_block(const conv_s8_pairs_t *p, const void *pairs, int32_t taps,
                                                  int8_t *y0, int8_t *y1) {
  two_pixels_block(conv_s8_pairs_take, (int32_t)sizeof(int32_t), p, pairs, taps, y0, y1);
}

static void conv_s8_pairs(const void *params, const void *const *rows, void *out, void *scratch) {
  two_pixels_row(conv_s8_pairs_gather, conv_s8_pairs_block, params, rows, out, scratch);
}
