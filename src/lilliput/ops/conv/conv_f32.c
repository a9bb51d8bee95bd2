/* float32 convolution of one output row. Order of accumulation: bias, then window rows, columns, channels. */
#include "rows.h"

typedef struct {
  const float *w;    /* [oc][kh][kw][ic / groups] */
  const float *bias; /* [oc] */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad, groups;
  float lo, hi;
} conv_f32_t;

static void conv_f32(const void *params, const void *const *rows, void *out, void *scratch) {
  const conv_f32_t *p = params;
  const int32_t gi = p->ic / p->groups, go = p->oc / p->groups;
  float *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++) {
    for (int32_t oc = 0; oc < p->oc; oc++) {
      const float *w = p->w + oc * p->kh * p->kw * gi;
      float acc = p->bias[oc];
      for (int32_t ky = 0; ky < p->kh; ky++) {
        const float *row = rows[ky];
        for (int32_t kx = 0; kx < p->kw; kx++, w += gi) {
          const int32_t ix = ox * p->stride + kx * p->dilation - p->pad;
          if (ix < 0 || ix >= p->iw) continue;
          const float *x = row + ix * p->ic + oc / go * gi;
          for (int32_t c = 0; c < gi; c++) acc += x[c] * w[c];
        }
      }
      *y++ = acc < p->lo ? p->lo : acc > p->hi ? p->hi : acc;
    }
  }
}
