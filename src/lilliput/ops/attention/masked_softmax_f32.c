/* float32 softmax of what a mask shows of each row; zero elsewhere, and everywhere where it shows nothing.
   Order of accumulation: as the values lie; then one division each. May run in place. */
#include "math_f32.h"

typedef struct {
  const uint8_t *mask; /* [period][n] */
  int32_t rows, n, period;
  int32_t each; /* rows of x, one after the other, that a row of the mask is for */
} masked_softmax_f32_t;

LILLIPUT_INLINE void masked_softmax_f32_row(const uint8_t *mask, const float *x, float *y, int32_t n) {
  float max = 0.0f, sum = 0.0f;
  int32_t seen = 0;
  for (int32_t i = 0; i < n; i++) {
    if (mask[i] && (seen++ == 0 || x[i] > max)) max = x[i];
  }
  for (int32_t i = 0; i < n; i++) {
    y[i] = mask[i] ? exp_f32(x[i] - max) : 0.0f;
    sum += y[i];
  }
  for (int32_t i = 0; i < n && seen > 0; i++) y[i] = y[i] / sum;
}

static void masked_softmax_f32(const masked_softmax_f32_t *p, const float *x, float *y) {
  for (int32_t r = 0; r < p->rows; r++, x += p->n, y += p->n) {
    masked_softmax_f32_row(p->mask + r / p->each % p->period * p->n, x, y, p->n);
  }
}
