/* float32 depthwise convolution of one output row. Order of accumulation: bias, then window rows, columns. */
#include "rows.h"

typedef struct {
  const float *w;    /* [kh][kw][oc] */
  const float *bias; /* [oc] */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad, per_input;
  float lo, hi;
} dw_f32_t;

static void dw_f32(const void *params, const void *const *rows, void *out, void *scratch) {
  const dw_f32_t *p = params;
  float *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++) {
    for (int32_t oc = 0; oc < p->oc; oc++) {
      const float *w = p->w + oc;
      float acc = p->bias[oc];
      for (int32_t ky = 0; ky < p->kh; ky++) {
        const float *row = rows[ky];
        for (int32_t kx = 0; kx < p->kw; kx++, w += p->oc) {
          const int32_t ix = ox * p->stride + kx * p->dilation - p->pad;
          if (ix < 0 || ix >= p->iw) continue;
          acc += row[ix * p->ic + oc / p->per_input] * *w;
        }
      }
      *y++ = acc < p->lo ? p->lo : acc > p->hi ? p->hi : acc;
    }
  }
}
