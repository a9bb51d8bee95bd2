/* float32: (x - offset) factor, feature by feature, over rows. May run in place. */
#include "base.h"

typedef struct {
  const float *offsets; /* [n] */
  const float *factors; /* [n] */
  int32_t rows, n;
} scaler_f32_t;

static void scaler_f32(const scaler_f32_t *p, const float *x, float *y) {
  for (int32_t r = 0; r < p->rows; r++) {
    for (int32_t i = 0; i < p->n; i++) *y++ = (*x++ - p->offsets[i]) * p->factors[i];
  }
}
