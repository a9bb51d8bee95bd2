/* float32 logistic function; NaN stays NaN. May run in place. */
#include "math_f32.h"

typedef struct {
  int32_t n;
} sigmoid_f32_t;

static void sigmoid_f32(const sigmoid_f32_t *p, const float *x, float *y) {
  for (int32_t i = 0; i < p->n; i++) {
    const float v = x[i];
    y[i] = logistic_of(v);
  }
}
