/* float32 singular value decomposition filter. Order of accumulation: along the input; rank and time, then the bias. */
#include "base.h"

typedef struct {
  const float *features; /* [filters][inputs] */
  const float *times;    /* [filters][steps] */
  const float *bias;     /* [filters / rank] */
  int32_t n, inputs, filters, steps, rank;
  float lo, hi;
} svdf_f32_t;

/* The newest feature of a filter. */
LILLIPUT_INLINE float svdf_f32_feature(const svdf_f32_t *p, const float *x, int32_t filter) {
  const float *w = p->features + filter * p->inputs;
  float sum = 0.0f;
  for (int32_t i = 0; i < p->inputs; i++) sum += w[i] * x[i];
  return sum;
}

static void svdf_f32(const svdf_f32_t *p, const float *x, const float *before, float *y, float *after) {
  for (int32_t n = 0; n < p->n; n++, x += p->inputs) {
    for (int32_t unit = 0; unit < p->filters / p->rank; unit++) {
      float sum = 0.0f;
      for (int32_t r = 0; r < p->rank; r++, before += p->steps, after += p->steps) {
        const int32_t filter = unit * p->rank + r;
        for (int32_t t = 0; t < p->steps; t++) {
          after[t] = t + 1 < p->steps ? before[t + 1] : svdf_f32_feature(p, x, filter);
          sum += after[t] * p->times[filter * p->steps + t];
        }
      }
      sum += p->bias[unit];
      *y++ = sum < p->lo ? p->lo : sum > p->hi ? p->hi : sum;
    }
  }
}
