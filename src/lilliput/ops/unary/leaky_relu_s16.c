/* int16 leaky ReLU as TFLM: positive and negative values scaled by a multiplier each. May run in place. */
#include "requantize.h"

typedef struct {
  int32_t n, in_zp, mult, shift, mult_alpha, shift_alpha, out_zp;
} leaky_relu_s16_t;

static void leaky_relu_s16(const leaky_relu_s16_t *p, const int16_t *x, int16_t *y) {
  for (int32_t i = 0; i < p->n; i++) {
    const int32_t v = x[i] - p->in_zp;
    const int32_t scaled =
        v < 0 ? scale_by(v, p->mult_alpha, p->shift_alpha) : scale_by(v, p->mult, p->shift);
    y[i] = (int16_t)clamp_i32(wrapping_add(scaled, p->out_zp), INT16_MIN, INT16_MAX);
  }
}
