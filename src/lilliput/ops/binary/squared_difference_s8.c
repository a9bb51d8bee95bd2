/* int8 (a - b)^2 as TFLM: both to twice the larger scale, 7 bits up, then the square to the result's scale. Any broadcasting;
   may run in place on an operand of the result's size. */
#include "broadcast.h"
#include "requantize.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  int32_t a_zp, b_zp, a_mult, a_shift, b_mult, b_shift, mult, shift, out_zp, lo, hi;
} squared_difference_s8_t;

LILLIPUT_INLINE void squared_difference_s8_element(const void *params, const void *a, const void *b, void *y) {
  const squared_difference_s8_t *p = params;
  const int8_t *u = a, *v = b;
  const int32_t c = scale_by((*u - p->a_zp) * 128, p->a_mult, p->a_shift);
  const int32_t d = scale_by((*v - p->b_zp) * 128, p->b_mult, p->b_shift);
  const int32_t square = scale_by((c - d) * (c - d), p->mult, p->shift);
  *(int8_t *)y = (int8_t)clamp_i32(wrapping_add(square, p->out_zp), p->lo, p->hi);
}

static void squared_difference_s8(const squared_difference_s8_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  broadcast(squared_difference_s8_element, p, p->walk, (int32_t)sizeof *y, a, b, y);
}
