/* float32 x * scale + offset per channel, channels last, clamped; NaN stays NaN. May run in place. */
#include "base.h"

typedef struct {
  const float *w;    /* [c] */
  const float *bias; /* [c] */
  int32_t n, c;
  float lo, hi;
} batch_norm_f32_t;

static void batch_norm_f32(const batch_norm_f32_t *p, const float *x, float *y) {
  for (int32_t i = 0; i < p->n; i++) {
    for (int32_t c = 0; c < p->c; c++) {
      const float v = *x++ * p->w[c] + p->bias[c];
      *y++ = v < p->lo ? p->lo : v > p->hi ? p->hi : v;
    }
  }
}
