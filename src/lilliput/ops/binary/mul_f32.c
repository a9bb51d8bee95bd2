/* float32 a * b, clamped; NaN stays NaN. Any broadcasting; may run in place on an
   operand of the result's size. */
#include "broadcast.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  float lo, hi;
} mul_f32_t;

LILLIPUT_INLINE void mul_f32_element(const void *params, const void *a, const void *b, void *y) {
  const mul_f32_t *p = params;
  const float *u = a, *v = b;
  const float product = *u * *v;
  *(float *)y = product < p->lo ? p->lo : product > p->hi ? p->hi : product;
}

static void mul_f32(const mul_f32_t *p, const float *a, const float *b, float *y) {
  broadcast(mul_f32_element, p, p->walk, (int32_t)sizeof *y, a, b, y);
}
