/* int8 singular value decomposition filter with an int16 memory, exactly as TensorFlow Lite Micro computes it. */
#include "requantize.h"

typedef struct {
  const int8_t *features; /* [filters][inputs] */
  const int16_t *times;   /* [filters][steps] */
  const int32_t *bias;    /* [filters / rank] */
  int32_t n, inputs, filters, steps, rank;
  int32_t in_zp, out_zp, lo, hi;
  int32_t in_mult, in_shift, out_mult, out_shift;
} svdf_s8_t;

/* The newest feature of a filter. */
LILLIPUT_INLINE int16_t svdf_s8_feature(const svdf_s8_t *p, const int8_t *x, int32_t filter) {
  const int8_t *w = p->features + filter * p->inputs;
  uint32_t sum = 0; /* wraps where int32_t may not */
  for (int32_t i = 0; i < p->inputs; i++) sum += (uint32_t)(w[i] * (x[i] - p->in_zp));
  return (int16_t)clamp_i32(scale_by((int32_t)sum, p->in_mult, p->in_shift), INT16_MIN, INT16_MAX);
}

static void svdf_s8(const svdf_s8_t *p, const int8_t *x, const int16_t *before, int8_t *y, int16_t *after) {
  for (int32_t n = 0; n < p->n; n++, x += p->inputs) {
    for (int32_t unit = 0; unit < p->filters / p->rank; unit++) {
      uint32_t sum = (uint32_t)p->bias[unit];
      for (int32_t r = 0; r < p->rank; r++, before += p->steps, after += p->steps) {
        const int32_t filter = unit * p->rank + r;
        for (int32_t t = 0; t < p->steps; t++) {
          after[t] = t + 1 < p->steps ? before[t + 1] : svdf_s8_feature(p, x, filter);
          sum += (uint32_t)(after[t] * p->times[filter * p->steps + t]);
        }
      }
      const int32_t scaled = scale_by((int32_t)sum, p->out_mult, p->out_shift);
      *y++ = (int8_t)clamp_i32(wrapping_add(scaled, p->out_zp), p->lo, p->hi);
    }
  }
}
