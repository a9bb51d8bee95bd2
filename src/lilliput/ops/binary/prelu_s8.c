/* int8 x above its zero point, x slope below it, as TFLM. Any broadcasting; may run in place on an operand of the result's size. */
#include "broadcast.h"
#include "requantize.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of x, steps of the slope; outermost first */
  int32_t a_zp, b_zp, mult, shift, slope_mult, slope_shift, out_zp, lo, hi;
} prelu_s8_t;

LILLIPUT_INLINE void prelu_s8_element(const void *params, const void *a, const void *b, void *y) {
  const prelu_s8_t *p = params;
  const int8_t *u = a, *v = b;
  const int32_t x = *u - p->a_zp;
  const int32_t value = x >= 0 ? scale_by(x, p->mult, p->shift)
                               : scale_by(x * (*v - p->b_zp), p->slope_mult, p->slope_shift);
  *(int8_t *)y = (int8_t)clamp_i32(wrapping_add(value, p->out_zp), p->lo, p->hi);
}

static void prelu_s8(const prelu_s8_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  broadcast(prelu_s8_element, p, p->walk, (int32_t)sizeof *y, a, b, y);
}
