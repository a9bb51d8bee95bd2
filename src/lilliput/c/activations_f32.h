/* Activation functions in float32; those with parameters take them as an array. NaN gives NaN. */
#ifndef LILLIPUT_ACTIVATIONS_F32_H
#define LILLIPUT_ACTIVATIONS_F32_H
#include "logarithm_f32.h"

/* log(1 + e^x) */
LILLIPUT_INLINE float softplus_of(float x) {
  const float u = log1p_of(exp_f32(x < 0.0f ? x : -x));
  return x < 0.0f ? u : x + u;
}

/* log(1 / (1 + e^-x)) */
LILLIPUT_INLINE float log_sigmoid_of(float x) { return -softplus_of(-x); }

LILLIPUT_INLINE float softsign_of(float x) { return x / (1.0f + abs_of(x)); }

/* x logistic(k x) */
LILLIPUT_INLINE float silu_of(float x, const float *k) { return x * logistic_of(k[0] * x); }

/* x tanh(log(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2) */
LILLIPUT_INLINE float mish_of(float x) {
  if (x > 20.0f) return x;
  const float e = exp_f32(x), n = e * (e + 2.0f);
  return x * (n / (n + 2.0f));
}

/* alpha (e^x - 1) below zero, gamma x above; k is alpha, gamma. */
LILLIPUT_INLINE float elu_of(float x, const float *k) { return x < 0.0f ? k[0] * expm1_of(x) : k[1] * x; }

/* alpha (e^(x / alpha) - 1) below zero */
LILLIPUT_INLINE float celu_of(float x, const float *k) { return x < 0.0f ? k[0] * expm1_of(x / k[0]) : x; }

/* max(0, min(1, alpha x + beta)) */
LILLIPUT_INLINE float hard_sigmoid_by(float x, const float *k) {
  const float v = k[0] * x + k[1];
  return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
}

/* x above the threshold, another value elsewhere; k is threshold, value. */
LILLIPUT_INLINE float threshold_of(float x, const float *k) { return x > k[0] || x != x ? x : k[1]; }

/* Towards zero by the bias, and zero within the threshold; k is threshold, bias. */
LILLIPUT_INLINE float shrink_of(float x, const float *k) {
  return x < -k[0] ? x + k[1] : x > k[0] ? x - k[1] : x != x ? x : 0.0f;
}

LILLIPUT_INLINE float leaky_floats(float x, float slope) { return x < 0.0f ? slope * x : x; }

#endif
