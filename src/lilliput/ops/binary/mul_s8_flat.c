/* int8 a * b as TFLM, same shapes. May run in place on either. The caller proved scale_right. */
#include "requantize.h"

typedef struct {
  int32_t n, a_zp, b_zp, mult, shift, two_zp_1, lo, hi;
} mul_s8_flat_t;

static void mul_s8_flat(const mul_s8_flat_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  const mul_s8_flat_t k = *p;
  for (const int8_t *end = a + k.n; a != end;) {
    const int32_t product = (*a++ - k.a_zp) * (*b++ - k.b_zp);
    *y++ = (int8_t)clamp_i32(scale_right(product, k.mult, k.shift, k.two_zp_1), k.lo, k.hi);
  }
}
