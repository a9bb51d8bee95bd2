/* The error function and what is made of it in plain float arithmetic: no libm, the same bits on every machine.
   Worst errors in units in the last place: erf 2, erfc 8 (where it is a normal number). */
#ifndef LILLIPUT_ERF_F32_H
#define LILLIPUT_ERF_F32_H
#include "bits_f32.h"
#include "math_f32.h"

/* |x| <= 1 */
LILLIPUT_INLINE float erf_near_zero(float x) {
  const float z = x * x;
  float p = -0x1.44cfbcp-17f;
  p = p * z + 0x1.d8b88cp-14f;
  p = p * z - 0x1.bcd7dep-11f;
  p = p * z + 0x1.562b1ap-8f;
  p = p * z - 0x1.b829d8p-6f;
  p = p * z + 0x1.ce2f0ap-4f;
  p = p * z - 0x1.812746p-2f;
  p = p * z + 0x1.06eba8p-3f;
  return x + x * p;
}

/* t e^(-a^2) P(t), t = 1 / (1 + a/2), for a >= 0.9; a^2 = h^2 + (a - h)(a + h) with h^2 exact. */
LILLIPUT_INLINE float erfc_far(float a) {
  if (a > 10.1f) return 0.0f;
  const float t = 1.0f / (1.0f + 0.5f * a);
  float p = 0x1.6522dcp-4f;
  p = p * t - 0x1.aaafe2p-3f;
  p = p * t + 0x1.f62dap-5f;
  p = p * t + 0x1.30c646p-4f;
  p = p * t + 0x1.641889p-3f;
  p = p * t + 0x1.fbe656p-3f;
  p = p * t + 0x1.20b092p-2f;
  p = p * t + 0x1.20dfcep-2f;
  const float h = (float)(int32_t)(16.0f * a) * 0.0625f;
  return t * p * exp_f32(-(a - h) * (a + h)) * exp_f32(-h * h);
}

LILLIPUT_INLINE float erf_of(float x) {
  const float a = abs_of(x);
  if (!(a > 0.95f)) return erf_near_zero(x);
  return signed_as(1.0f - erfc_far(a), x);
}

LILLIPUT_INLINE float erfc_of(float x) {
  const float a = abs_of(x);
  if (!(a > 0.95f)) return 1.0f - erf_near_zero(x);
  return x < 0.0f ? 2.0f - erfc_far(a) : erfc_far(a);
}

/* x times the share of a normal distribution that lies below x. */
LILLIPUT_INLINE float gelu_of(float x) { return 0.5f * x * erfc_of(x * -0x1.6a09e6p-1f); }

/* x times 1/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), which is a logistic function of twice that argument. */
LILLIPUT_INLINE float gelu_tanh_of(float x) {
  return x * logistic_of(0x1.988454p+0f * (x + 0x1.6e4e26p-5f * x * x * x));
}

#endif
