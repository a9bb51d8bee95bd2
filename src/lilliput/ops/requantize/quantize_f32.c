/* float32 -> int8: nearest, halves away from zero, saturated; NaN becomes the zero point. */
#include "base.h"

typedef struct {
  int32_t n;
  float scale;
  int32_t zero_point;
} quantize_f32_t;

static void quantize_f32(const quantize_f32_t *p, const float *x, int8_t *y) {
  for (int32_t i = 0; i < p->n; i++) {
    const float v = x[i] / p->scale;
    int32_t q = 0;
    if (v >= 512.0f) {
      q = 512;
    } else if (v <= -512.0f) {
      q = -512;
    } else if (v > -0.5f && v < 0.5f) {
      q = 0; /* the largest float below a half plus a half would round to one */
    } else if (v == v) {
      q = (int32_t)(v < 0.0f ? v - 0.5f : v + 0.5f);
    }
    y[i] = (int8_t)clamp_i32(q + p->zero_point, -128, 127);
  }
}
