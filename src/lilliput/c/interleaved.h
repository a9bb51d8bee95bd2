/* int8 windows of two pixels, gathered interleaved: how the kernels of 4 channels x 2 pixels read them. */
#ifndef LILLIPUT_INTERLEAVED_H
#define LILLIPUT_INTERLEAVED_H
#include "two_pixels.h"

/* n taps of two pixels, interleaved. A step of 0 repeats one value. */
LILLIPUT_INLINE int8_t *interleaved_join(int8_t *to, const int8_t *x0, int32_t step0, const int8_t *x1, int32_t step1,
                                         int32_t n) {
  LILLIPUT_ROLLED
  for (; n > 0; n--, x0 += step0, x1 += step1, to += 2) {
    to[0] = *x0;
    to[1] = *x1;
  }
  return to;
}

/* The windows of the output pixel `ox` and of one `apart` input pixels behind it, [kh][kw][ic]; zero points outside
   the row. */
LILLIPUT_INLINE void interleaved_gather(const two_pixels_t *p, const void *const *rows, int32_t ox,
                                        int32_t apart, void *pairs) {
  int8_t *to = pairs;
  const int8_t zero_point = (int8_t)p->in_zp;
  const int32_t ix0 = ox * p->stride - p->pad;
  const int inside = p->dilation == 1 && ix0 >= 0 && ix0 + apart + p->kw <= p->iw;
  for (int32_t ky = 0; ky < p->kh; ky++) {
    const int8_t *const row = rows[ky];
    if (inside) {
      const int8_t *x = row + ix0 * p->ic;
      to = interleaved_join(to, x, 1, x + apart * p->ic, 1, p->kw * p->ic);
      continue;
    }
    for (int32_t kx = 0, ix = ix0; kx < p->kw; kx++, ix += p->dilation) {
      const int in0 = ix >= 0 && ix < p->iw, in1 = ix + apart >= 0 && ix + apart < p->iw;
      const int8_t *x0 = in0 ? row + ix * p->ic : &zero_point;
      const int8_t *x1 = in1 ? row + (ix + apart) * p->ic : &zero_point;
      to = interleaved_join(to, x0, in0, x1, in1, p->ic);
    }
  }
}

/* One tap of both pixels. */
LILLIPUT_INLINE void interleaved_take(const void *pair, int32_t *first, int32_t *second) {
  const int8_t *x = pair;
  *first = x[0];
  *second = x[1];
}

#endif
