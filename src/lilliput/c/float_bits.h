/* float32 numbers as integers: one compare instruction instead of a soft-float call on cores without an FPU.
   The bits of a float, negative ones with all but the sign inverted, are in the order of the numbers (IEEE 754
   totalOrder): -0 lies just below +0, a NaN beyond the infinity of its sign. */
#ifndef LILLIPUT_FLOAT_BITS_H
#define LILLIPUT_FLOAT_BITS_H
#include "base.h"

LILLIPUT_INLINE int32_t float_bits(const float *x) {
  union {
    float value;
    int32_t bits;
  } both; /* a freestanding compiler may call memcpy for four bytes */
  both.value = *x;
  return both.bits;
}

/* a <= b as floats exactly when float_key(a) <= float_key(b), for b other than -0. */
LILLIPUT_INLINE int32_t float_key(const float *x) {
  const int32_t bits = float_bits(x);
  return bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}

/* The same; any NaN gives `missing`. */
LILLIPUT_INLINE int32_t float_key_or(const float *x, int32_t missing) {
  const int32_t bits = float_bits(x);
  return (bits & INT32_MAX) > 0x7f800000 ? missing : bits ^ (int32_t)((uint32_t)(bits >> 31) >> 1);
}

/* v * 2^-shift for -60 <= shift <= 90: rounded once, by the conversion; the exponent is changed by hand. */
LILLIPUT_INLINE float fixed_to_f32(int32_t v, int32_t shift) {
  union {
    float value;
    uint32_t bits;
  } both;
  both.value = (float)v;
  if (v != 0) both.bits -= (uint32_t)(shift * (int32_t)0x800000);
  return both.value;
}

#endif
