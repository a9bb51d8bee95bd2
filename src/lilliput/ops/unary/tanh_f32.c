/* float32 tanh; NaN stays NaN. May run in place. */
#include "math_f32.h"

typedef struct {
  int32_t n;
} tanh_f32_t;

static void tanh_f32(const tanh_f32_t *p, const float *x, float *y) {
  for (int32_t i = 0; i < p->n; i++) {
    const float v = x[i];
    y[i] = tanh_of(v);
  }
}
