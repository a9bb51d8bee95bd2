/* Where the greatest of every window lies, the first of equals: its number among all elements, channels first. */
#include "base.h"

typedef struct {
  int32_t n, ih, iw, channels, oh, ow, kh, kw;
  int32_t stride_h, stride_w, dilation_h, dilation_w, top, left;
  int32_t by_row, by_column; /* steps of the number */
} KERNEL_t;

LILLIPUT_INLINE int32_t KERNEL_place(const KERNEL_t *p, const T *x, int32_t oy, int32_t ox) {
  int32_t place = -1;
  T best = 0;
  for (int32_t ky = 0; ky < p->kh; ky++) {
    const int32_t iy = oy * p->stride_h + ky * p->dilation_h - p->top;
    if (iy < 0 || iy >= p->ih) continue;
    for (int32_t kx = 0; kx < p->kw; kx++) {
      const int32_t ix = ox * p->stride_w + kx * p->dilation_w - p->left;
      if (ix < 0 || ix >= p->iw) continue;
      const T v = x[(iy * p->iw + ix) * p->channels];
      if (place < 0 || v > best) {
        best = v;
        place = iy * p->by_row + ix * p->by_column;
      }
    }
  }
  return place;
}

static void KERNEL(const KERNEL_t *p, const T *x, int64_t *y) {
  const int32_t plane = p->ih * p->iw;
  for (int32_t n = 0; n < p->n; n++, x += plane * p->channels) {
    for (int32_t oy = 0; oy < p->oh; oy++) {
      for (int32_t ox = 0; ox < p->ow; ox++) {
        for (int32_t c = 0; c < p->channels; c++) {
          *y++ = (n * p->channels + c) * plane + KERNEL_place(p, x + c, oy, ox);
        }
      }
    }
  }
}
