/* float32 linear layer over rows of features, without a window's bookkeeping. Order of accumulation: bias, then features. */
#include "base.h"
#include "loops.h"

typedef struct {
  const float *w;    /* [outputs][features] */
  const float *bias; /* [outputs] */
  int32_t rows, features, outputs;
  int32_t from_below, from_above; /* whether there is a bound on either side */
  float lo, hi;
} linear_f32_t;

static void linear_f32(const linear_f32_t *p, const float *x, float *y) {
  for (int32_t r = 0; r < p->rows; r++, x += p->features) {
    const float *w = p->w;
    for (int32_t o = 0; o < p->outputs; o++) {
      float acc = p->bias[o];
      LILLIPUT_ROLLED for (int32_t i = 0; i < p->features; i++) acc += x[i] * *w++;
      if (p->from_below && acc < p->lo) acc = p->lo;
      if (p->from_above && acc > p->hi) acc = p->hi;
      *y++ = acc;
    }
  }
}
