/* int8 or int16 a + b or a - b as TFLM: both operands to twice the larger scale, 20 (15) bits up, then to the result's.
   Any broadcasting; may run in place on an operand of the result's size. */
#include "broadcast.h"
#include "requantize.h"

enum { KERNEL_up = 1 << (sizeof(T) == 1 ? 20 : 15) };

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  int32_t a_zp, b_zp, a_mult, a_shift, b_mult, b_shift, sign, mult, shift, out_zp, lo, hi;
} KERNEL_t;

LILLIPUT_INLINE void KERNEL_element(const void *params, const void *a, const void *b, void *y) {
  const KERNEL_t *p = params;
  const T *u = a, *v = b;
  const int32_t c = scale_by((*u - p->a_zp) * KERNEL_up, p->a_mult, p->a_shift);
  const int32_t d = scale_by((*v - p->b_zp) * KERNEL_up, p->b_mult, p->b_shift);
  const int32_t sum = scale_by(c + p->sign * d, p->mult, p->shift);
  *(T *)y = (T)clamp_i32(wrapping_add(sum, p->out_zp), p->lo, p->hi);
}

static void KERNEL(const KERNEL_t *p, const T *a, const T *b, T *y) {
  broadcast(KERNEL_element, p, p->walk, (int32_t)sizeof *y, a, b, y);
}
