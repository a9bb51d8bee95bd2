/* The functions that recurrent layers apply to their gates, in float32; ops/recurrent/activations.py numbers them. */
#ifndef LILLIPUT_GATES_F32_H
#define LILLIPUT_GATES_F32_H
#include "activations_f32.h"
#include "steps.h"

/* The logistic function, tanh and ReLU: nearly every layer has no other, and is spared the code of the rest. */
LILLIPUT_NOINLINE LILLIPUT_UNUSED static float usual_gate(int32_t function, const float *factors, float clip, float x) {
  (void)factors;
  x = x < -clip ? -clip : x > clip ? clip : x;
  if (function == 0) return logistic_of(x);
  if (function == 1) return tanh_of(x);
  return x < 0.0f ? 0.0f : x;
}

LILLIPUT_NOINLINE LILLIPUT_UNUSED static float any_gate(int32_t function, const float *factors, float clip, float x) {
  const float a = factors[0], b = factors[1];
  x = x < -clip ? -clip : x > clip ? clip : x;
  switch (function) {
    case 0: return logistic_of(x);
    case 1: return tanh_of(x);
    case 2: return x < 0.0f ? 0.0f : x;
    case 3: return a * x + b;
    case 4: return x < 0.0f ? a * x : x;
    case 5: return x > a ? x : 0.0f;
    case 6: return a * tanh_of(b * x);
    case 7: {
      const float v = a * x + b;
      return v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v;
    }
    case 8: return x < 0.0f ? a * expm1_of(x) : x;
    case 9: return softsign_of(x);
    default: return softplus_of(x);
  }
}

/* sum + a . b over n elements, in order. */
LILLIPUT_INLINE float dot_f32(const float *a, const float *b, int32_t n, float sum) {
  for (int32_t i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}

#endif
