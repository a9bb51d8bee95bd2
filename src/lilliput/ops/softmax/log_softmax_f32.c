/* float32 logarithm of the softmax of rows: (x - greatest) - log(sum of e^(x - greatest)). May run in place.
   Order of accumulation: as the values lie. */
#include "logarithm_f32.h"

typedef struct {
  int32_t rows, n;
} log_softmax_f32_t;

static void log_softmax_f32(const log_softmax_f32_t *p, const float *x, float *y) {
  for (int32_t r = 0; r < p->rows; r++, x += p->n, y += p->n) {
    float max = x[0], sum = 0.0f;
    for (int32_t i = 1; i < p->n; i++) max = x[i] > max ? x[i] : max;
    for (int32_t i = 0; i < p->n; i++) sum += exp_f32(x[i] - max);
    const float log_sum = log_of(sum);
    for (int32_t i = 0; i < p->n; i++) y[i] = (x[i] - max) - log_sum;
  }
}
