/* The last step of a normalization in integers: from -d, n times a value's distance to the mean, to the result before its
   clamp. `minus` is -2^(61 - k) / (n deviation), `down` = 39 - k. Both forms give the same numbers. Why the signs are turned:
   compilers that know a factor not to be negative make an unsigned product of it and correct that. */
#ifndef LILLIPUT_NORMAL_VALUE_H
#define LILLIPUT_NORMAL_VALUE_H
#include "base.h"

/* For all constants. */
LILLIPUT_INLINE int64_t any_value(int32_t d, int32_t minus, int32_t down, int32_t gamma, int64_t beta, int32_t shift) {
  const int32_t t = (int32_t)(((int64_t)d * minus + ((int64_t)1 << (down - 1))) >> down); /* normal value, 2^-22 */
  return ((int64_t)t * gamma + beta) >> shift;
}

/* From the high words of products alone, for shift >= 32 and n <= 2^12. Why d 2^(32 - down) fits: it is at most
   sqrt(n) sqrt(w) for w of KERNEL_inverse, and sqrt(w) < 2^(31 - k); so it is at most sqrt(n) 2^24. */
LILLIPUT_INLINE int32_t high_value(int32_t d, int32_t minus, int32_t down, int32_t gamma, int64_t beta, int32_t shift) {
  const int32_t left = down < 32 ? 32 - down : 0, right = down < 32 ? 0 : down - 32;
  const int64_t half = (int64_t)1 << (31 + right);
  const int64_t wide = (int64_t)(int32_t)((uint32_t)d << left) * minus + half;
  const int32_t t = (int32_t)(wide >> 32) >> right; /* normal value, 2^-22 */
  return (int32_t)(((int64_t)t * gamma + beta) >> 32) >> (shift - 32);
}

#endif
