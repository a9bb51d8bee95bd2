/* int64 accumulator -> int16, exactly as TensorFlow Lite Micro rounds; the Python twin is in fixed.py. */
#ifndef LILLIPUT_REQUANTIZE_WIDE_H
#define LILLIPUT_REQUANTIZE_WIDE_H
#include "base.h"
#include "requantize.h"

/* x * r / 2^15 * 2^shift, halves up, the low 32 bits of it. r is a multiplier reduced to 15 bits; |x| < 2^47 and
   -31 <= shift <= 7 were proved offline. */
LILLIPUT_INLINE int32_t scale_wide(int64_t x, int32_t r, int32_t shift) {
  const int32_t right = 15 - shift;
  return (int32_t)(uint32_t)(uint64_t)((x * r + ((int64_t)1 << (right - 1))) >> right);
}

/* scale_by of the low 32 bits of a sum, which is what 32-bit arithmetic would have left of it. */
LILLIPUT_INLINE int32_t scale_low(int64_t x, int32_t m, int32_t shift) {
  return scale_by((int32_t)(uint32_t)(uint64_t)x, m, shift);
}

#endif
