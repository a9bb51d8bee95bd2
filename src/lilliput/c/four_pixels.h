/* int8 windows of four pixels, gathered tap by tap as two words of two pixels each. What a word is, the kernel says. */
#ifndef LILLIPUT_FOUR_PIXELS_H
#define LILLIPUT_FOUR_PIXELS_H
#include "base.h"
#include "loops.h"

typedef struct {
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad, in_zp;
} four_pixels_t;

/* Two int8 -> a word, the first in its lower half. */
typedef int32_t four_pixels_join_t(int32_t first, int32_t second);

LILLIPUT_INLINE void four_pixels_tap(four_pixels_join_t *join, int32_t *to, const int8_t *x0, const int8_t *x1,
                                     const int8_t *x2, const int8_t *x3) {
  to[0] = join(*x0, *x1);
  to[1] = join(*x2, *x3);
}

/* A pixel of the row, or one outside. */
LILLIPUT_INLINE const int8_t *four_pixels_at(const four_pixels_t *p, const int8_t *row, int32_t ix,
                                             const int8_t *outside) {
  return (uint32_t)ix < (uint32_t)p->iw ? row + ix * p->ic : outside;
}

/* n taps that lie side by side. */
LILLIPUT_INLINE int32_t *four_pixels_run(four_pixels_join_t *join, int32_t *to, const int8_t *x0, const int8_t *x1,
                                         const int8_t *x2, const int8_t *x3, int32_t n) {
  LILLIPUT_ROLLED
  for (; n >= 4; n -= 4, x0 += 4, x1 += 4, x2 += 4, x3 += 4, to += 8) {
    four_pixels_tap(join, to, x0, x1, x2, x3);
    four_pixels_tap(join, to + 2, x0 + 1, x1 + 1, x2 + 1, x3 + 1);
    four_pixels_tap(join, to + 4, x0 + 2, x1 + 2, x2 + 2, x3 + 2);
    four_pixels_tap(join, to + 6, x0 + 3, x1 + 3, x2 + 3, x3 + 3);
  }
  LILLIPUT_ROLLED
  for (; n > 0; n--, to += 2) four_pixels_tap(join, to, x0++, x1++, x2++, x3++);
  return to;
}

/* The windows of the output pixels from `ox` on, [kh][kw][ic]; zero points outside the row: a pixel of them is kept
   behind the words. Behind the last pixel of a row it comes again, which is computed and stored like any other: what
   lies before may be overwritten by then. */
LILLIPUT_INLINE void four_pixels_gather(four_pixels_join_t *join, const four_pixels_t *p, const void *const *rows,
                                        int32_t ox, int32_t *to) {
  const int32_t ic = p->ic, ix = ox * p->stride - p->pad, last = min_i32(3, p->ow - 1 - ox);
  const int32_t d1 = min_i32(1, last) * p->stride, d2 = min_i32(2, last) * p->stride, d3 = last * p->stride;
  const int inside = ix >= 0 && ix + d3 + (p->kw - 1) * p->dilation < p->iw;
  const int32_t run = inside && p->dilation == 1 ? p->kw * ic : ic;
  int8_t *const outside = (int8_t *)(to + 2 * p->kh * p->kw * ic);
  if (!inside) {
    LILLIPUT_ROLLED
    for (int32_t i = 0; i < ic; i++) outside[i] = (int8_t)p->in_zp;
  }
  for (int32_t ky = 0; ky < p->kh; ky++) {
    const int8_t *const row = rows[ky];
    int32_t at = ix;
    for (int32_t k = p->kw * ic; k > 0; k -= run, at += p->dilation) {
      const int8_t *const x0 = four_pixels_at(p, row, at, outside);
      const int8_t *const x1 = four_pixels_at(p, row, at + d1, outside);
      const int8_t *const x2 = four_pixels_at(p, row, at + d2, outside);
      const int8_t *const x3 = four_pixels_at(p, row, at + d3, outside);
      to = four_pixels_run(join, to, x0, x1, x2, x3, run);
    }
  }
}

/* Where the results of these pixels go. */
LILLIPUT_INLINE void four_pixels_place(const four_pixels_t *p, int8_t *y, int32_t ox, int8_t **to) {
  for (int32_t i = 0; i < 4; i++) to[i] = y + min_i32(ox + i, p->ow - 1) * p->oc;
}

#endif
