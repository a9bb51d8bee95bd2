/* float32 min(max(x + 3, 0), 6) / 6; NaN stays NaN. May run in place. */
#include "math_f32.h"

typedef struct {
  int32_t n;
} hard_sigmoid_f32_t;

static void hard_sigmoid_f32(const hard_sigmoid_f32_t *p, const float *x, float *y) {
  for (int32_t i = 0; i < p->n; i++) {
    const float v = x[i];
    y[i] = six_part_of(v) * 0x1.555556p-3f;
  }
}
