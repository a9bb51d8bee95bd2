/* Linear attention, float32: a matrix per head forgets, is corrected, learns a pair of key and value, and is asked.
   Order of accumulation: along the key's features, from zero. */
#include "math_f32.h"

typedef struct {
  int32_t n, steps, heads, group, keys, values; /* group: queries of each head */
  int32_t decays, betas;                        /* numbers per step, 0: none */
  float scale;
} linear_attention_f32_t;

/* One step of one head; m is [keys][values], `decay` has one number or one per key, `beta` one; either may be null. */
LILLIPUT_INLINE void linear_attention_f32_learn(const linear_attention_f32_t *p, float *m, const float *k, const float *v,
                                                const float *decay, const float *beta) {
  for (int32_t i = 0; decay != NULL && i < p->keys; i++) {
    const float kept = exp_f32(decay[p->decays > p->heads ? i : 0]);
    for (int32_t j = 0; j < p->values; j++) m[i * p->values + j] *= kept;
  }
  for (int32_t j = 0; j < p->values; j++) {
    float value = v[j];
    if (beta != NULL) {
      float known = 0.0f;
      for (int32_t i = 0; i < p->keys; i++) known += m[i * p->values + j] * k[i];
      value = *beta * (value - known);
    }
    for (int32_t i = 0; i < p->keys; i++) m[i * p->values + j] += k[i] * value;
  }
}

LILLIPUT_INLINE void linear_attention_f32_ask(const linear_attention_f32_t *p, const float *m, const float *q, float *y) {
  for (int32_t j = 0; j < p->values; j++) {
    float sum = 0.0f;
    for (int32_t i = 0; i < p->keys; i++) sum += q[i] * m[i * p->values + j];
    y[j] = p->scale * sum;
  }
}

static void linear_attention_f32(const linear_attention_f32_t *p, const float *q, const float *k, const float *v,
                                 const float *before, const float *decay, const float *beta, float *y, float *after) {
  const int32_t size = p->keys * p->values;
  for (int32_t n = 0; n < p->n; n++, before += p->heads * size, after += p->heads * size) {
    for (int32_t i = 0; i < p->heads * size; i++) after[i] = before[i];
    for (int32_t t = 0; t < p->steps; t++) {
      for (int32_t h = 0; h < p->heads; h++, k += p->keys, v += p->values) {
        const float *kept = p->decays == 0 ? NULL : decay + h * (p->decays / p->heads);
        linear_attention_f32_learn(p, after + h * size, k, v, kept, p->betas == 0 ? NULL : beta + (p->betas > 1 ? h : 0));
        for (int32_t g = 0; g < p->group; g++, q += p->keys, y += p->values) {
          linear_attention_f32_ask(p, after + h * size, q, y);
        }
      }
      decay += p->decays;
      beta += p->betas;
    }
  }
}
