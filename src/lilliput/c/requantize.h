/* int32 accumulator -> int8, exactly as TensorFlow Lite Micro rounds; the Python twin is fixed.py.
   Right shifts of negative values are arithmetic on every compiler Lilliput supports; selftest would tell. */
#ifndef LILLIPUT_REQUANTIZE_H
#define LILLIPUT_REQUANTIZE_H
#include "base.h"
#include "loops.h"

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

/* a + b that wraps like the accumulators: a bias near 2^31 is no undefined behaviour. */
LILLIPUT_INLINE int32_t wrapping_add(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

/* scale_by for a right shift n >= 1, plus a zero point z folded into the rounding: two_z_1 = 2 z + 1. Exact when
   |x| < 2^30, |x| + |two_z_1| 2^(n-1) < 2^31 - 1 and m >= 2^30, which the caller proved offline. Why:
   - h = round(x m / 2^31) is the high word of 2 x m + 2^31: one SMULL, or one SMMULR where the core has it.
   - Halves away from zero: (h - (h < 0) + 2^(n-1)) >> n. As m >= 2^30, h < 0 exactly when x < 0, but for x = -1 with
     m = 2^30; there h = 0, and (0 + 2^(n-1)) >> n = (-1 + 2^(n-1)) >> n = 0.
   - z + ((h + 2^(n-1)) >> n) = (h + (2 z + 1) 2^(n-1)) >> n, and that constant goes into the 64-bit sum. */
LILLIPUT_INLINE int32_t scale_right(int32_t x, int32_t m, int32_t n, int32_t two_z_1) {
  const int32_t rounding = (int32_t)((uint32_t)two_z_1 << (n - 1));
  const int64_t sum = (int64_t)(2 * x) * m + rounding * ((int64_t)1 << 32) + ((int64_t)1 << 31);
  return ((int32_t)(sum >> 32) + (x >> 31)) >> n;
}

/* To the nearest int8. */
LILLIPUT_INLINE int8_t saturate_s8(int32_t v) { return (int8_t)clamp_i32(v, INT8_MIN, INT8_MAX); }

/* One channel's results of two pixels; the shift is in the low five bits of n. Callers pass the constants straight from
   memory: these stores may alias them, which keeps compilers from loading all of them early and spilling. */
LILLIPUT_INLINE void put_two_s8(int8_t *y0, int8_t *y1, int32_t a, int32_t b, int32_t m, int32_t n, int32_t two_z_1) {
  const int8_t v = saturate_s8(scale_right(b, m, n & 31, two_z_1));
  *y0 = saturate_s8(scale_right(a, m, n & 31, two_z_1));
  *y1 = v;
}

/* The fused activation of n results, where it is narrower than int8. */
LILLIPUT_NOINLINE LILLIPUT_UNUSED static void clamp_s8(int8_t *y, int32_t n, int32_t lo, int32_t hi) {
  LILLIPUT_ROLLED for (; n > 0; n--, y++) *y = (int8_t)clamp_i32(*y, lo, hi);
}

#endif
