/* Log densities of n Gaussians in integers of type T, and the index of the greatest, the first of equals. Differences from the
   mean in units of the deviation are Q.8; the definition is in docs/quantization.md. */
#include "requantize.h"

typedef struct {
  const int16_t *means;    /* [n][features], in 1 / up of a step of x, zero point included */
  const uint16_t *factors; /* [n][features]: mantissa << 5 | right shift */
  const int32_t *offsets;  /* [n], in 2^-16 */
  int32_t n, features, up, most;
  int32_t mult, shift, out_zp, lo, hi;
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const T *x, int32_t *label, T *y) {
  const int16_t *mean = p->means;
  const uint16_t *a = p->factors;
  int32_t best = INT32_MIN;
  for (int32_t i = 0; i < p->n; i++) {
    int32_t sum = 0;
    for (int32_t f = 0; f < p->features; f++) {
      const int32_t factor = *a++;
      int32_t t = ((x[f] * p->up - *mean++) * (factor >> 5)) >> (factor & 31);
      t = clamp_i32(t, -p->most, p->most);
      sum += t * t;
    }
    sum = p->offsets[i] - sum;
    if (sum > best) {
      best = sum;
      label[0] = i;
    }
    y[i] = (T)clamp_i32(wrapping_add(scale_by(sum, p->mult, p->shift), p->out_zp), p->lo, p->hi);
  }
}
