/* Logarithms, roots and powers in plain float and integer arithmetic: no libm, the same bits on every machine.
   Worst errors in units in the last place: log 1, log1p 2, expm1 3, pow 3, rsqrt 1.5; sqrt is rounded correctly. */
#ifndef LILLIPUT_LOGARITHM_F32_H
#define LILLIPUT_LOGARITHM_F32_H
#include "bits_f32.h"
#include "math_f32.h"

/* x = m 2^e with m between the roots of 1/2 and 2; x positive and finite. */
LILLIPUT_INLINE float mantissa_of(float x, int32_t *e) {
  const int32_t tiny = x < 0x1p-126f;
  const uint32_t bits = bits_of(tiny ? x * 0x1p23f : x) + (0x3f800000u - 0x3f3504f3u);
  *e = (int32_t)(bits >> 23) - 127 - (tiny ? 23 : 0);
  return from_bits((bits & 0x7fffffu) + 0x3f3504f3u);
}

/* log((1 + s) / (1 - s)) - 2 s as a series in s. */
LILLIPUT_INLINE float log_tail(float s) {
  const float z = s * s;
  float p = 0x1.f13c4cp-3f;
  p = p * z + 0x1.23d3dcp-2f;
  p = p * z + 0x1.999c26p-2f;
  p = p * z + 0x1.555554p-1f;
  return s * z * p;
}

/* Zero gives minus infinity, below it NaN. */
LILLIPUT_INLINE float log_of(float x) {
  if (!(x > 0.0f)) return x < 0.0f || x != x ? not_a_number() : -infinity();
  if (!(x < infinity())) return x;
  int32_t e;
  const float f = mantissa_of(x, &e) - 1.0f, k = (float)e;
  const float s = f / (2.0f + f), half = 0.5f * f * f;
  /* log(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + tail / s)): f itself is exact. ln(2) in two parts, the first of 15 bits. */
  return k * 0x1.62e4p-1f - ((half - (s * half + log_tail(s) + k * 0x1.7f7d1cp-20f)) - f);
}

/* log(1 + x): log(u) of the rounded sum, and what the rounding lost. */
LILLIPUT_INLINE float log1p_of(float x) {
  const float u = 1.0f + x;
  if (u == 1.0f) return x;
  if (!(u > 0.0f) || !(u < infinity())) return log_of(u);
  return log_of(u) + (x - (u - 1.0f)) / u;
}

/* e^x - 1 */
LILLIPUT_INLINE float expm1_of(float x) {
  if (!(abs_of(x) < 0x1.62e43p-1f)) return exp_f32(x) - 1.0f;
  float p = 0x1.a58e86p-16f;
  p = p * x + 0x1.a577d8p-13f;
  p = p * x + 0x1.6c0e28p-10f;
  p = p * x + 0x1.110b14p-7f;
  p = p * x + 0x1.55556p-5f;
  p = p * x + 0x1.55555cp-3f;
  p = p * x + 0.5f;
  return x + x * x * p;
}

/* The root digit by digit in integers, rounded to nearest; below zero NaN. */
LILLIPUT_INLINE float sqrt_of(float x) {
  if (!(x > 0.0f) || !(x < infinity())) return x < 0.0f ? not_a_number() : x;
  uint32_t m = bits_of(x);
  int32_t e = (int32_t)(m >> 23);
  if (e == 0) {
    for (; (m & 0x800000u) == 0; e--) m <<= 1;
    e++;
  }
  e -= 127;
  m = (m & 0x7fffffu) | 0x800000u;
  if (e & 1) m <<= 1;
  m <<= 1;
  uint32_t root = 0, sum = 0;
  for (uint32_t bit = 0x1000000u; bit != 0; bit >>= 1, m <<= 1) {
    const uint32_t t = sum + bit;
    if (t <= m) {
      sum = t + bit;
      m -= t;
      root += bit;
    }
  }
  if (m != 0) root += root & 1u;
  const uint32_t half = (uint32_t)(e >= 0 ? e / 2 : -((1 - e) / 2)) << 23;
  return from_bits((root >> 1) + 0x3f000000u + half);
}

LILLIPUT_INLINE float rsqrt_of(float x) { return 1.0f / sqrt_of(x); }

/* a b as the rounded product and the rest, exactly (Dekker); no overflow for |a|, |b| < 2^100. */
LILLIPUT_INLINE float product_of(float a, float b, float *rest) {
  const float p = a * b, ca = 4097.0f * a, cb = 4097.0f * b;
  const float a1 = ca - (ca - a), a2 = a - a1, b1 = cb - (cb - b), b2 = b - b1;
  *rest = ((a1 * b1 - p) + a1 * b2 + a2 * b1) + a2 * b2;
  return p;
}

/* x^y of x > 0, both finite: e^(y log x) with log x and the product as sums of two floats. */
LILLIPUT_INLINE float power_of(float x, float y) {
  int32_t e;
  const float f = mantissa_of(x, &e) - 1.0f, k = (float)e;
  const float d = 2.0f + f, d_rest = (2.0f - d) + f, s = f / d;
  float rest;
  const float back = product_of(s, d, &rest); /* s d + s_rest d = f */
  const float s_rest = (((f - back) - rest) - s * d_rest) / d;
  const float twice = 2.0f * s, whole = k * 0x1.62e4p-1f;
  const float a = whole + twice; /* |whole| >= |twice| or whole = 0: the sum's rest is exact */
  const float a_rest = (whole != 0.0f ? (whole - a) + twice : 0.0f);
  const float tail = a_rest + (k * 0x1.7f7d1cp-20f + (2.0f * s_rest + log_tail(s)));
  const float log = a + tail, log_rest = (a - log) + tail;
  if (y * log > 90.0f) return infinity();
  if (y * log < -105.0f) return 0.0f;
  const float p = product_of(y, log, &rest);
  rest += y * log_rest;
  const float power = exp_f32(p);
  return power < infinity() ? power + power * rest : power;
}

/* As C99's pow. */
LILLIPUT_INLINE float pow_floats(float x, float y) {
  if (y == 0.0f || x == 1.0f) return 1.0f;
  if (x != x || y != y) return not_a_number();
  const float size = abs_of(x), most = abs_of(y);
  const int32_t whole = !(most < 0x1p24f) || (float)(int32_t)y == y;
  const int32_t odd = most < 0x1p24f && whole && ((int32_t)y & 1) != 0;
  if (x < 0.0f && x > -infinity() && !whole) return not_a_number();
  float result;
  if (size == 1.0f) {
    result = 1.0f;
  } else if (!(size > 0.0f) || !(size < infinity()) || !(most < infinity())) {
    result = (size < 1.0f) == (y < 0.0f) ? infinity() : 0.0f;
  } else {
    result = power_of(size, y);
  }
  return odd ? signed_as(result, x) : result;
}

#endif
