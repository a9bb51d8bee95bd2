/* int16 convolution of one output row with int8 weights, any stride, dilation, padding and groups: 64-bit sums. */
#include "requantize.h"
#include "requantize_wide.h"
#include "rows.h"

typedef struct {
  const int8_t *w;     /* [oc][kh][kw][ic / groups] */
  const int64_t *bias; /* [oc] */
  const int32_t *mult; /* [oc] */
  const int8_t *shift; /* [oc], negative is right */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad, groups, lo, hi;
} KERNEL_t;

static void KERNEL(const void *params, const void *const *rows, void *out, void *scratch) {
  const KERNEL_t *p = params;
  const int32_t gi = p->ic / p->groups, go = p->oc / p->groups;
  int16_t *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++) {
    for (int32_t oc = 0; oc < p->oc; oc++) {
      const int8_t *w = p->w + oc * p->kh * p->kw * gi;
      int64_t acc = p->bias[oc];
      for (int32_t ky = 0; ky < p->kh; ky++) {
        const int16_t *row = rows[ky];
        for (int32_t kx = 0; kx < p->kw; kx++, w += gi) {
          const int32_t ix = ox * p->stride + kx * p->dilation - p->pad;
          if (ix < 0 || ix >= p->iw) continue;
          const int16_t *x = row + ix * p->ic + oc / go * gi;
          for (int32_t c = 0; c < gi; c++) acc += x[c] * w[c];
        }
      }
      *y++ = (int16_t)clamp_i32(SCALE(acc, p->mult[oc], p->shift[oc]), p->lo, p->hi);
    }
  }
}
