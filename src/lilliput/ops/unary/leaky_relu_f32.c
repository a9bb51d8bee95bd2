/* float32 leaky ReLU; NaN stays NaN. May run in place. */
#include "base.h"

typedef struct {
  int32_t n;
  float alpha;
} leaky_relu_f32_t;

static void leaky_relu_f32(const leaky_relu_f32_t *p, const float *x, float *y) {
  for (int32_t i = 0; i < p->n; i++) {
    const float v = x[i];
    y[i] = v < 0.0f ? v * p->alpha : v;
  }
}
