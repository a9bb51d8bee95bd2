/* float32 a + b or a - b, clamped; NaN stays NaN. Any broadcasting; may run in place on an
   operand of the result's size. */
#include "broadcast.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  float sign, lo, hi;
} add_f32_t;

LILLIPUT_INLINE void add_f32_element(const void *params, const void *a, const void *b, void *y) {
  const add_f32_t *p = params;
  const float *u = a, *v = b;
  const float sum = *u + p->sign * *v;
  *(float *)y = sum < p->lo ? p->lo : sum > p->hi ? p->hi : sum;
}

static void add_f32(const add_f32_t *p, const float *a, const float *b, float *y) {
  broadcast(add_f32_element, p, p->walk, (int32_t)sizeof *y, a, b, y);
}
