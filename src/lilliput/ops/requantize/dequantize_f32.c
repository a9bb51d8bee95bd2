/* int8 -> float32. */
#include "base.h"

typedef struct {
  int32_t n;
  float scale;
  int32_t zero_point;
} dequantize_f32_t;

static void dequantize_f32(const dequantize_f32_t *p, const int8_t *x, float *y) {
  for (int32_t i = 0; i < p->n; i++) y[i] = p->scale * (float)(x[i] - p->zero_point);
}
