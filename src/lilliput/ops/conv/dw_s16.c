/* int16 depthwise convolution of one output row with int8 weights, any channel multiplier; sums of type A, which none
   leaves (proved offline). */
#include "requantize_wide.h"
#include "rows.h"

typedef struct {
  const int8_t *w;     /* [kh][kw][oc] */
  const A *bias;       /* [oc] */
  const int32_t *mult; /* [oc] */
  const int8_t *shift; /* [oc], negative is right */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad, per_input, lo, hi;
} KERNEL_t;

static void KERNEL(const void *params, const void *const *rows, void *out, void *scratch) {
  const KERNEL_t *p = params;
  int16_t *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++) {
    for (int32_t oc = 0; oc < p->oc; oc++) {
      const int8_t *w = p->w + oc;
      A acc = p->bias[oc];
      for (int32_t ky = 0; ky < p->kh; ky++) {
        const int16_t *row = rows[ky];
        for (int32_t kx = 0; kx < p->kw; kx++, w += p->oc) {
          const int32_t ix = ox * p->stride + kx * p->dilation - p->pad;
          if (ix < 0 || ix >= p->iw) continue;
          acc += row[ix * p->ic + oc / p->per_input] * *w;
        }
      }
      *y++ = (int16_t)clamp_i32(scale_wide(acc, p->mult[oc], p->shift[oc]), p->lo, p->hi);
    }
  }
}
