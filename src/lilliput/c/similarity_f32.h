/* How alike two vectors of n numbers are: distances, and the kernel functions of support vector machines. */
#ifndef LILLIPUT_SIMILARITY_F32_H
#define LILLIPUT_SIMILARITY_F32_H
#include "loops.h"
#include "math_f32.h"

/* sum of (x - v)^2 */
LILLIPUT_INLINE float squared_distance(const float *x, const float *v, int32_t n) {
  float sum = 0.0f;
  LILLIPUT_ROLLED for (int32_t i = 0; i < n; i++) {
    const float d = x[i] - v[i];
    sum += d * d;
  }
  return sum;
}

/* sum of |x - v| */
LILLIPUT_INLINE float manhattan_distance(const float *x, const float *v, int32_t n) {
  float sum = 0.0f;
  LILLIPUT_ROLLED for (int32_t i = 0; i < n; i++) {
    const float d = x[i] - v[i];
    sum += d < 0.0f ? -d : d;
  }
  return sum;
}

/* What the kernel functions below depend on. */
typedef struct {
  float gamma, coef0;
  int32_t degree;
} similarity_t;

LILLIPUT_INLINE float affine_product(const similarity_t *k, const float *x, const float *v, int32_t n) {
  float sum = 0.0f;
  LILLIPUT_ROLLED for (int32_t i = 0; i < n; i++) sum += x[i] * v[i];
  return k->gamma * sum + k->coef0;
}


/* (gamma x . v + coef0)^degree, by squaring */
LILLIPUT_INLINE float poly_of(const similarity_t *k, const float *x, const float *v, int32_t n) {
  float base = affine_product(k, x, v, n), result = 1.0f;
  for (int32_t d = k->degree; d > 0; d >>= 1) {
    if (d & 1) result *= base;
    base *= base;
  }
  return result;
}

/* tanh(gamma x . v + coef0) */
LILLIPUT_INLINE float sigmoid_of(const similarity_t *k, const float *x, const float *v, int32_t n) {
  return tanh_of(affine_product(k, x, v, n));
}

/* exp(-gamma |x - v|^2) */
LILLIPUT_INLINE float rbf_of(const similarity_t *k, const float *x, const float *v, int32_t n) {
  return exp_f32(-k->gamma * squared_distance(x, v, n));
}

#endif
