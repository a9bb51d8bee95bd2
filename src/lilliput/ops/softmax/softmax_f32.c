/* float32 softmax of rows. Order of accumulation: as the values lie; then one division each. May run in place. */
#include "math_f32.h"

typedef struct {
  int32_t rows, n;
  float beta;
} softmax_f32_t;

static void softmax_f32(const softmax_f32_t *p, const float *x, float *y) {
  for (int32_t r = 0; r < p->rows; r++, x += p->n, y += p->n) {
    float max = x[0], sum = 0.0f;
    for (int32_t i = 1; i < p->n; i++) max = x[i] > max ? x[i] : max;
    for (int32_t i = 0; i < p->n; i++) {
      y[i] = exp_f32((x[i] - max) * p->beta);
      sum += y[i];
    }
    for (int32_t i = 0; i < p->n; i++) y[i] = y[i] / sum;
  }
}
