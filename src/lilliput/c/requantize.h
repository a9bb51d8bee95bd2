/* int32 accumulator -> int8, exactly as TensorFlow Lite Micro rounds; the Python twin is fixed.py.
   Right shifts of negative values are arithmetic on every compiler Lilliput supports; selftest would tell. */
#ifndef LILLIPUT_REQUANTIZE_H
#define LILLIPUT_REQUANTIZE_H
#include "base.h"

/* round(a * b / 2^31), halves up. TFLM's truncating form with a signed nudge gives the same number; a and b are never both INT32_MIN. */
LILLIPUT_INLINE int32_t doubling_high_mul(int32_t a, int32_t b) {
  return (int32_t)(((int64_t)a * b + ((int64_t)1 << 30)) >> 31);
}

/* x / 2^n to nearest, halves away from zero; 0 <= n <= 31. */
LILLIPUT_INLINE int32_t rounding_shift(int32_t x, int32_t n) {
  const int32_t mask = (int32_t)(((uint32_t)1 << n) - 1u);
  const int32_t threshold = (mask >> 1) + (x < 0 ? 1 : 0);
  return (x >> n) + ((x & mask) > threshold ? 1 : 0);
}

/* x * m / 2^31 * 2^shift; shift of either sign. */
LILLIPUT_INLINE int32_t scale_by(int32_t x, int32_t m, int32_t shift) {
  const int32_t left = shift > 0 ? shift : 0;
  const int32_t right = shift > 0 ? 0 : -shift;
  return rounding_shift(doubling_high_mul((int32_t)((uint32_t)x << left), m), right);
}

/* scale_by for a right shift n >= 1 with the zero point folded into the rounding constant:
   round = (2 * zero_point + 1) << (n - 1). Valid when |x| + |round| < 2^31, which the caller proved offline. */
LILLIPUT_INLINE int32_t scale_right(int32_t x, int32_t m, int32_t n, int32_t two_zp_plus_1) {
  int32_t v = doubling_high_mul(x, m);
  v += v >> 31;
  return (v + two_zp_plus_1 * (int32_t)((uint32_t)1 << (n - 1))) >> n;
}

#endif
