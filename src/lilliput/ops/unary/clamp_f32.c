/* float32 min(max(x, lo), hi); NaN stays NaN. May run in place. */
#include "base.h"

typedef struct {
  int32_t n;
  float lo, hi;
} clamp_f32_t;

static void clamp_f32(const clamp_f32_t *p, const float *x, float *y) {
  for (int32_t i = 0; i < p->n; i++) {
    const float v = x[i];
    y[i] = v < p->lo ? p->lo : v > p->hi ? p->hi : v;
  }
}
