/* int8, uint8 or int16 -> float32: one rounding, for the difference has at most 17 bits. */
#include "base.h"

typedef struct {
  int32_t n;
  float scale;
  int32_t zero_point;
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const X *x, float *y) {
  for (int32_t i = 0; i < p->n; i++) y[i] = p->scale * (float)(x[i] - p->zero_point);
}
