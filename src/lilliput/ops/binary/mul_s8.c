/* int8 a * b as TFLM. Any broadcasting; may run in place on an
   operand of the result's size. */
#include "broadcast.h"
#include "requantize.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  int32_t a_zp, b_zp, mult, shift, out_zp, lo, hi;
} mul_s8_t;

LILLIPUT_INLINE void mul_s8_element(const void *params, const void *a, const void *b, void *y) {
  const mul_s8_t *p = params;
  const int8_t *u = a, *v = b;
  const int32_t product = (*u - p->a_zp) * (*v - p->b_zp);
  const int32_t scaled = scale_by(product, p->mult, p->shift);
  *(int8_t *)y = (int8_t)clamp_i32(wrapping_add(scaled, p->out_zp), p->lo, p->hi);
}

static void mul_s8(const mul_s8_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  broadcast(mul_s8_element, p, p->walk, (int32_t)sizeof *y, a, b, y);
}
