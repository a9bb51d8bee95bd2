/* Roundings, signs and remainders of float32 numbers: all exact. NaN gives NaN, infinity stays what it is. */
#ifndef LILLIPUT_ROUNDING_F32_H
#define LILLIPUT_ROUNDING_F32_H
#include "bits_f32.h"

LILLIPUT_INLINE float neg_of(float x) { return from_bits(bits_of(x) ^ 0x80000000u); }
LILLIPUT_INLINE float sign_of(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; }

/* Towards zero. From 2^23 on every number is whole. */
LILLIPUT_INLINE float trunc_of(float x) {
  return abs_of(x) < 0x1p23f ? signed_as((float)(int32_t)x, x) : x;
}

LILLIPUT_INLINE float floor_of(float x) {
  const float whole = trunc_of(x);
  return whole > x ? whole - 1.0f : whole;
}

LILLIPUT_INLINE float ceil_of(float x) {
  const float whole = trunc_of(x);
  return whole < x ? signed_as(whole + 1.0f, x) : whole;
}

/* To the nearest, halves to even. */
LILLIPUT_INLINE float round_of(float x) {
  if (!(abs_of(x) < 0x1p23f)) return x;
  const int32_t whole = (int32_t)x;
  const float rest = abs_of(x - (float)whole);
  const int32_t away = rest > 0.5f || (rest >= 0.5f && (whole & 1) != 0);
  return signed_as((float)(whole + (away ? (x < 0.0f ? -1 : 1) : 0)), x);
}

/* The mantissa of a > 0 with its leading one in bit 23, and the exponent that goes with it; subnormal numbers too. */
LILLIPUT_INLINE uint32_t normalized(float a, int32_t *e) {
  uint32_t m = bits_of(a);
  *e = (int32_t)(m >> 23);
  if (*e > 0) return (m & 0x7fffffu) | 0x800000u;
  for (*e = 1; (m & 0x800000u) == 0; (*e)--) m <<= 1;
  return m;
}

/* The remainder of x / y that has the sign of x: long division of the mantissas, one bit per step. */
LILLIPUT_INLINE float fmod_floats(float x, float y) {
  const float a = abs_of(x), b = abs_of(y);
  if (!(a < infinity()) || !(b > 0.0f)) return not_a_number();
  if (a < b) return x;
  int32_t e, last;
  uint32_t m = normalized(a, &e);
  const uint32_t divisor = normalized(b, &last);
  for (; e > last; e--) m = (m >= divisor ? m - divisor : m) << 1;
  m = m >= divisor ? m - divisor : m;
  if (m == 0) return signed_as(0.0f, x);
  for (; (m & 0x800000u) == 0; e--) m <<= 1;
  return signed_as(from_bits(e > 0 ? (m & 0x7fffffu) | ((uint32_t)e << 23) : m >> (1 - e)), x);
}

/* The remainder that has the divisor's sign: Python's %. */
LILLIPUT_INLINE float mod_floats(float x, float y) {
  const float rest = fmod_floats(x, y);
  if (rest < 0.0f && y > 0.0f) return rest + y;
  if (rest > 0.0f && y < 0.0f) return rest + y;
  return rest;
}

LILLIPUT_INLINE float floor_div_floats(float x, float y) { return floor_of(x / y); }

#endif
