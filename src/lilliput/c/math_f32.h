/* exp, tanh and the logistic function in plain float arithmetic: no libm, the same bits on every machine.
   Worst errors in units in the last place: exp 1.1, tanh 1.5, logistic 2.4. NaN gives NaN. Needs -ffp-contract=off. */
#ifndef LILLIPUT_MATH_F32_H
#define LILLIPUT_MATH_F32_H
#include "base.h"

/* 2^n for -126 <= n <= 127. */
LILLIPUT_INLINE float power_of_two(int32_t n) {
  union {
    int32_t bits;
    float value;
  } both;
  both.bits = (n + 127) * (int32_t)0x800000;
  return both.value;
}

/* e^x = 2^n e^r with |r| <= ln(2) / 2. Above 88.73 infinity, below -103.98 zero. */
LILLIPUT_INLINE float exp_f32(float x) {
  if (x != x) return x;
  x = x > 89.0f ? 89.0f : x < -104.0f ? -104.0f : x;
  const int32_t n = (int32_t)(x * 0x1.715476p+0f + (x < 0.0f ? -0.5f : 0.5f));
  const float k = (float)n;
  const float r = (x - k * 0x1.62e4p-1f) - k * 0x1.7f7d1cp-20f; /* ln(2) in two parts; the first has 15 bits */
  float p = 0x1.6dbc64p-10f;
  p = p * r + 0x1.124148p-7f;
  p = p * r + 0x1.555454p-5f;
  p = p * r + 0x1.555486p-3f;
  p = p * r + 0.5f;
  p = (p * r * r + r) + 1.0f;
  const int32_t half = n / 2; /* two factors, so that subnormal results and the last powers come out right */
  return p * power_of_two(half) * power_of_two(n - half);
}

/* 1 / (1 + e^-x), from e^-|x| so that nothing overflows. */
LILLIPUT_INLINE float logistic_of(float x) {
  const float e = exp_f32(x < 0.0f ? x : -x);
  return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* An odd polynomial near zero, 1 - 2 / (e^2|x| + 1) elsewhere. */
LILLIPUT_INLINE float tanh_of(float x) {
  const float a = x < 0.0f ? -x : x;
  if (a < 0.55f) {
    const float z = x * x;
    float p = -0x1.9bba3ep-8f;
    p = p * z + 0x1.59567ep-6f;
    p = p * z - 0x1.b92bb8p-5f;
    p = p * z + 0x1.110d3cp-3f;
    p = p * z - 0x1.55554cp-2f;
    return x + x * z * p;
  }
  const float t = 1.0f - 2.0f / (exp_f32(a + a) + 1.0f);
  return x < 0.0f ? -t : t;
}

/* min(max(x + 3, 0), 6). */
LILLIPUT_INLINE float six_part_of(float x) {
  const float v = x + 3.0f;
  return v < 0.0f ? 0.0f : v > 6.0f ? 6.0f : v;
}

#endif
