/* int8 depthwise convolution of one output row with weights of four bits, any channel multiplier. */
#include "int4.h"
#include "rows.h"
#include "requantize.h"

typedef struct {
  const uint8_t *w;    /* [kh][kw][oc], two to a byte */
  const int32_t *bias; /* [oc] */
  const int32_t *mult; /* [oc] */
  const int8_t *shift; /* [oc], negative is right */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad, per_input;
  int32_t in_zp, out_zp, lo, hi;
} dw_s4_t;

static void dw_s4(const void *params, const void *const *rows, void *out, void *scratch) {
  const dw_s4_t *p = params;
  int8_t *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++) {
    for (int32_t oc = 0; oc < p->oc; oc++) {
      int32_t k = oc;
      uint32_t acc = (uint32_t)p->bias[oc]; /* wraps where int32_t may not */
      for (int32_t ky = 0; ky < p->kh; ky++) {
        const int8_t *row = rows[ky];
        for (int32_t kx = 0; kx < p->kw; kx++, k += p->oc) {
          const int32_t ix = ox * p->stride + kx * p->dilation - p->pad;
          if (ix < 0 || ix >= p->iw) continue;
          acc += (uint32_t)((row[ix * p->ic + oc / p->per_input] - p->in_zp) * int4_at(p->w, k));
        }
      }
      const int32_t scaled = scale_by((int32_t)acc, p->mult[oc], p->shift[oc]);
      *y++ = (int8_t)clamp_i32(wrapping_add(scaled, p->out_zp), p->lo, p->hi);
    }
  }
}
