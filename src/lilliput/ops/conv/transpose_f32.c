/* float32 transposed convolution. Order of accumulation: bias, then window rows, columns, channels. */
#include "base.h"

typedef struct {
  const float *w;    /* [oc][kh][kw][ic / groups] */
  const float *bias; /* [oc] */
  int32_t n, ih, iw, ic, oh, ow, oc, kh, kw, groups;
  int32_t stride_h, stride_w, dilation_h, dilation_w, top, left;
  float lo, hi;
} transpose_f32_t;

/* One result: each tap of the window that some input pixel sends here. */
LILLIPUT_INLINE float transpose_f32_pixel(const transpose_f32_t *p, const float *x, int32_t oy, int32_t ox, int32_t oc) {
  const int32_t gi = p->ic / p->groups, first = oc / (p->oc / p->groups) * gi;
  float acc = p->bias[oc];
  for (int32_t ky = 0; ky < p->kh; ky++) {
    const int32_t y = oy + p->top - ky * p->dilation_h;
    if (y < 0 || y % p->stride_h != 0 || y / p->stride_h >= p->ih) continue;
    for (int32_t kx = 0; kx < p->kw; kx++) {
      const int32_t across = ox + p->left - kx * p->dilation_w;
      if (across < 0 || across % p->stride_w != 0 || across / p->stride_w >= p->iw) continue;
      const float *u = x + (y / p->stride_h * p->iw + across / p->stride_w) * p->ic + first;
      const float *w = p->w + ((oc * p->kh + ky) * p->kw + kx) * gi;
      for (int32_t c = 0; c < gi; c++) acc += u[c] * w[c];
    }
  }
  return acc;
}

static void transpose_f32(const transpose_f32_t *p, const float *x, float *y) {
  for (int32_t n = 0; n < p->n; n++, x += p->ih * p->iw * p->ic) {
    for (int32_t oy = 0; oy < p->oh; oy++) {
      for (int32_t ox = 0; ox < p->ow; ox++) {
        for (int32_t oc = 0; oc < p->oc; oc++) {
          const float v = transpose_f32_pixel(p, x, oy, ox, oc);
          *y++ = v < p->lo ? p->lo : v > p->hi ? p->hi : v;
        }
      }
    }
  }
}
