/* Hyperbolic functions and their inverses in plain float arithmetic: no libm, the same bits on every machine.
   Worst errors in units in the last place: sinh 4, cosh 4, asinh 4, acosh 4, atanh 4. acosh below 1 and atanh beyond 1 are NaN. */
#ifndef LILLIPUT_HYPERBOLIC_F32_H
#define LILLIPUT_HYPERBOLIC_F32_H
#include "logarithm_f32.h"

/* e^a / 2, also where e^a itself would be infinite. */
LILLIPUT_INLINE float half_exp(float a) {
  const float root = exp_f32(0.5f * a);
  return 0.5f * root * root;
}

LILLIPUT_INLINE float sinh_of(float x) {
  const float a = abs_of(x);
  if (!(a < 10.0f)) return x != x ? x : signed_as(half_exp(a), x);
  const float t = expm1_of(a);
  return signed_as(0.5f * (t + t / (t + 1.0f)), x);
}

LILLIPUT_INLINE float cosh_of(float x) {
  const float h = half_exp(abs_of(x));
  return h + 0.25f / h;
}

LILLIPUT_INLINE float asinh_of(float x) {
  const float a = abs_of(x);
  if (!(a < 0x1p12f)) return x != x ? x : signed_as(log_of(a) + 0x1.62e43p-1f, x);
  const float z = a * a;
  return signed_as(log1p_of(a + z / (1.0f + sqrt_of(z + 1.0f))), x);
}

LILLIPUT_INLINE float acosh_of(float x) {
  if (!(x >= 1.0f)) return not_a_number();
  if (x > 0x1p12f) return log_of(x) + 0x1.62e43p-1f;
  const float t = x - 1.0f;
  return log1p_of(t + sqrt_of(2.0f * t + t * t));
}

LILLIPUT_INLINE float atanh_of(float x) {
  const float a = abs_of(x);
  if (!(a <= 1.0f)) return not_a_number();
  return signed_as(0.5f * log1p_of(2.0f * a / (1.0f - a)), x);
}

#endif
