/* int8 transposed convolution: for each result the taps of the window that input pixels send there. */
#include "requantize.h"

typedef struct {
  const int8_t *w;     /* [oc][kh][kw][ic / groups] */
  const int32_t *bias; /* [oc] */
  const int32_t *mult; /* [oc] */
  const int8_t *shift; /* [oc], negative is right */
  int32_t n, ih, iw, ic, oh, ow, oc, kh, kw, groups;
  int32_t stride_h, stride_w, dilation_h, dilation_w, top, left;
  int32_t in_zp, out_zp, lo, hi;
} transpose_s8_t;

LILLIPUT_INLINE int32_t transpose_s8_pixel(const transpose_s8_t *p, const int8_t *x, int32_t oy, int32_t ox, int32_t oc) {
  const int32_t gi = p->ic / p->groups, first = oc / (p->oc / p->groups) * gi;
  uint32_t acc = (uint32_t)p->bias[oc]; /* wraps where int32_t may not */
  for (int32_t ky = 0; ky < p->kh; ky++) {
    const int32_t y = oy + p->top - ky * p->dilation_h;
    if (y < 0 || y % p->stride_h != 0 || y / p->stride_h >= p->ih) continue;
    for (int32_t kx = 0; kx < p->kw; kx++) {
      const int32_t across = ox + p->left - kx * p->dilation_w;
      if (across < 0 || across % p->stride_w != 0 || across / p->stride_w >= p->iw) continue;
      const int8_t *u = x + (y / p->stride_h * p->iw + across / p->stride_w) * p->ic + first;
      const int8_t *w = p->w + ((oc * p->kh + ky) * p->kw + kx) * gi;
      for (int32_t c = 0; c < gi; c++) acc += (uint32_t)((u[c] - p->in_zp) * w[c]);
    }
  }
  return (int32_t)acc;
}

static void transpose_s8(const transpose_s8_t *p, const int8_t *x, int8_t *y) {
  for (int32_t n = 0; n < p->n; n++, x += p->ih * p->iw * p->ic) {
    for (int32_t oy = 0; oy < p->oh; oy++) {
      for (int32_t ox = 0; ox < p->ow; ox++) {
        for (int32_t oc = 0; oc < p->oc; oc++) {
          const int32_t acc = transpose_s8_pixel(p, x, oy, ox, oc);
          const int32_t scaled = scale_by(acc, p->mult[oc], p->shift[oc]);
          *y++ = (int8_t)clamp_i32(wrapping_add(scaled, p->out_zp), p->lo, p->hi);
        }
      }
    }
  }
}
