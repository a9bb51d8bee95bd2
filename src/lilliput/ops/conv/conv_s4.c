/* int8 convolution of one output row with weights of four bits, any stride, dilation, padding and groups. */
#include "int4.h"
#include "rows.h"
#include "requantize.h"

typedef struct {
  const uint8_t *w;      /* [oc][kh][kw][ic / groups], two to a byte */
  const int32_t *bias;   /* [oc] */
  const int32_t *mult;   /* [oc] */
  const int8_t *shift;   /* [oc], negative is right */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad, groups;
  int32_t in_zp, out_zp, lo, hi;
} conv_s4_t;

static void conv_s4(const void *params, const void *const *rows, void *out, void *scratch) {
  const conv_s4_t *p = params;
  const int32_t gi = p->ic / p->groups, go = p->oc / p->groups;
  int8_t *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++) {
    for (int32_t oc = 0; oc < p->oc; oc++) {
      int32_t k = oc * p->kh * p->kw * gi;
      uint32_t acc = (uint32_t)p->bias[oc]; /* wraps where int32_t may not */
      for (int32_t ky = 0; ky < p->kh; ky++) {
        const int8_t *row = rows[ky];
        for (int32_t kx = 0; kx < p->kw; kx++, k += gi) {
          const int32_t ix = ox * p->stride + kx * p->dilation - p->pad;
          if (ix < 0 || ix >= p->iw) continue;
          const int8_t *x = row + ix * p->ic + oc / go * gi;
          for (int32_t c = 0; c < gi; c++) {
            acc += (uint32_t)((x[c] - p->in_zp) * int4_at(p->w, k + c));
          }
        }
      }
      const int32_t scaled = scale_by((int32_t)acc, p->mult[oc], p->shift[oc]);
      *y++ = (int8_t)clamp_i32(wrapping_add(scaled, p->out_zp), p->lo, p->hi);
    }
  }
}
