/* float32 -> int8 or int16: nearest, halves away from zero, saturated; NaN becomes the zero point. */
#include "base.h"

typedef struct {
  int32_t n;
  float scale;
  int32_t zero_point, lo, hi;
} KERNEL_t;

enum { KERNEL_far = 1 << (8 * sizeof(Y) + 1) }; /* saturates whatever the zero point is */

static void KERNEL(const KERNEL_t *p, const float *x, Y *y) {
  for (int32_t i = 0; i < p->n; i++) {
    const float v = x[i] / p->scale;
    int32_t q = 0;
    if (v >= (float)KERNEL_far) {
      q = KERNEL_far;
    } else if (v <= -(float)KERNEL_far) {
      q = -KERNEL_far;
    } else if (v > -0.5f && v < 0.5f) {
      q = 0; /* the largest float below a half plus a half would round to one */
    } else if (v == v) {
      q = (int32_t)(v < 0.0f ? v - 0.5f : v + 0.5f);
    }
    y[i] = (Y)clamp_i32(q + p->zero_point, p->lo, p->hi);
  }
}
