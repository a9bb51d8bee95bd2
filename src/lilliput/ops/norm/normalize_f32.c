/* float32 (x - mean) / sqrt(variance + epsilon) * gamma + beta within each group of the last axis; without the mean where
   `centred` is 0. x is [outer][rows][groups][width]; a group's values are those of all its rows.
   Order of accumulation: as the values lie in memory. May run in place. */
#include "logarithm_f32.h"

typedef struct {
  const float *gamma, *beta; /* [groups][width] */
  int32_t outer, rows, groups, width, centred;
  float count, epsilon;
} normalize_f32_t;

/* The sum of (x - mean)^power over a group: power is 1 or 2. */
LILLIPUT_INLINE float normalize_f32_sum(const normalize_f32_t *p, const float *x, float mean, int square) {
  float sum = 0.0f;
  for (int32_t r = 0; r < p->rows; r++, x += p->groups * p->width) {
    for (int32_t i = 0; i < p->width; i++) {
      const float d = x[i] - mean;
      sum += square ? d * d : d;
    }
  }
  return sum;
}

static void normalize_f32(const normalize_f32_t *p, const float *x, float *y) {
  const int32_t step = p->groups * p->width;
  for (int32_t o = 0; o < p->outer; o++, x += p->rows * step, y += p->rows * step) {
    for (int32_t g = 0; g < p->groups; g++) {
      const float *v = x + g * p->width, *gamma = p->gamma + g * p->width, *beta = p->beta + g * p->width;
      float *z = y + g * p->width;
      const float mean = p->centred ? normalize_f32_sum(p, v, 0.0f, 0) / p->count : 0.0f;
      const float inverse = rsqrt_of(normalize_f32_sum(p, v, mean, 1) / p->count + p->epsilon);
      for (int32_t r = 0; r < p->rows; r++, v += step, z += step) {
        for (int32_t i = 0; i < p->width; i++) z[i] = (v[i] - mean) * inverse * gamma[i] + beta[i];
      }
    }
  }
}
