/* int8 convolution of one output row without groups, 4 channels x 2 pixels at a time: everything but how the taps of
   two pixels are stored: the kernel gathers them and loads one pair. All is inlined, so that calls are direct.
   The input's zero point is folded into the bias; every channel shifts right (proved offline). */
#ifndef LILLIPUT_TWO_PIXELS_H
#define LILLIPUT_TWO_PIXELS_H
#include "loops.h"
#include "requantize.h"

typedef struct {
  const int8_t *w;  /* [oc / 4][taps][4], then [oc % 4][taps] */
  const int32_t *q; /* [oc / 4]{bias[4], mult[4], four shifts in a word}, then [oc % 4]{bias, mult, shift} */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad;
  int32_t in_zp, two_zp_1, lo, hi;
} two_pixels_t;

/* Loads one tap of two pixels. */
typedef void two_pixels_take_t(const void *pair, int32_t *first, int32_t *second);

/* All channels of two pixels from their pairs of taps, `size` bytes each. */
LILLIPUT_INLINE void two_pixels_block(two_pixels_take_t *take, int32_t size, const two_pixels_t *p,
                                      const unsigned char *pairs, int32_t taps, int8_t *y0, int8_t *y1) {
  const int8_t *w = p->w;
  const int32_t *q = p->q;
  int32_t left = p->oc;
  for (; left >= 4; left -= 4, q += 9, y0 += 4, y1 += 4) {
    int32_t a0 = q[0], a1 = q[1], a2 = q[2], a3 = q[3];
    int32_t b0 = a0, b1 = a1, b2 = a2, b3 = a3;
    const unsigned char *x = pairs;
    do {
      int32_t s, t;
      take(x, &s, &t);
      a0 += s * w[0];
      b0 += t * w[0];
      a1 += s * w[1];
      b1 += t * w[1];
      a2 += s * w[2];
      b2 += t * w[2];
      a3 += s * w[3];
      b3 += t * w[3];
      x += size;
      w += 4;
    } while (x != pairs + size * taps);
    put_two_s8(y0, y1, a0, b0, q[4], q[8], p->two_zp_1);
    put_two_s8(y0 + 1, y1 + 1, a1, b1, q[5], q[8] >> 8, p->two_zp_1);
    put_two_s8(y0 + 2, y1 + 2, a2, b2, q[6], q[8] >> 16, p->two_zp_1);
    put_two_s8(y0 + 3, y1 + 3, a3, b3, q[7], q[8] >> 24, p->two_zp_1);
  }
  for (; left > 0; left--, q += 3, y0++, y1++) {
    int32_t a = q[0], b = a;
    const unsigned char *x = pairs;
    LILLIPUT_ROLLED
    for (int32_t k = taps; k > 0; k--, x += size, w++) {
      int32_t s, t;
      take(x, &s, &t);
      a += s * *w;
      b += t * *w;
    }
    put_two_s8(y0, y1, a, b, q[1], q[2], p->two_zp_1);
  }
}

/* `apart`: how many input pixels lie between the two windows. */
typedef void two_pixels_gather_t(const two_pixels_t *p, const void *const *rows, int32_t ox, int32_t apart, void *to);
typedef void two_pixels_block_t(const two_pixels_t *p, const void *pairs, int32_t taps, int8_t *y0, int8_t *y1);

/* The output row, by a kernel's own gather and block, which are not inlined: each keeps the registers to itself. The
   last pixel of an odd row is both pixels of its pair: what lies before it in the input may be overwritten by then. */
LILLIPUT_INLINE void two_pixels_row(two_pixels_gather_t *gather, two_pixels_block_t *block, const two_pixels_t *p,
                                    const void *const *rows, int8_t *y, void *pairs) {
  for (int32_t ox = 0; ox < p->ow; ox += 2) {
    const int32_t both = ox + 1 < p->ow;
    int8_t *const y0 = y + ox * p->oc;
    gather(p, rows, ox, both ? p->stride : 0, pairs);
    block(p, pairs, p->kh * p->kw * p->ic, y0, both ? y0 + p->oc : y0);
  }
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(y, p->ow * p->oc, p->lo, p->hi);
}

#endif
