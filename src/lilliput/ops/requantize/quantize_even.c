/* float32 -> an integer type: nearest, halves to even as ONNX has it, saturated; NaN becomes the zero point. */
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
    } else if (v == v) {
      q = (int32_t)v; /* towards zero; what is cut off is exact */
      const float rest = v < 0.0f ? (float)q - v : v - (float)q;
      if (rest > 0.5f || (rest == 0.5f && q % 2 != 0)) q += v < 0.0f ? -1 : 1;
    }
    y[i] = (Y)clamp_i32(q + p->zero_point, p->lo, p->hi);
  }
}
