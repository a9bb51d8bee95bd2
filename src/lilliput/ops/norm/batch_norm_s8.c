/* int8 x * scale + offset per channel, channels last: TFLM's depthwise convolution of one pixel. May run in place. */
#include "requantize.h"

typedef struct {
  const int8_t *w;     /* [c] */
  const int32_t *bias; /* [c] */
  int32_t n, c;
  const int32_t *mult; /* [c] */
  const int8_t *shift; /* [c], negative is right */
  int32_t in_zp, out_zp, lo, hi;
} batch_norm_s8_t;

static void batch_norm_s8(const batch_norm_s8_t *p, const int8_t *x, int8_t *y) {
  for (int32_t i = 0; i < p->n; i++) {
    for (int32_t c = 0; c < p->c; c++) {
      const int32_t acc = wrapping_add((*x++ - p->in_zp) * p->w[c], p->bias[c]);
      const int32_t scaled = scale_by(acc, p->mult[c], p->shift[c]);
      *y++ = (int8_t)clamp_i32(wrapping_add(scaled, p->out_zp), p->lo, p->hi);
    }
  }
}
