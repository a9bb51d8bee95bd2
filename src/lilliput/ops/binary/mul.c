/* int8 or int16 a * b as TFLM. Any broadcasting; may run in place on an operand of the result's size. */
#include "broadcast.h"
#include "requantize.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  int32_t a_zp, b_zp, mult, shift, out_zp, lo, hi;
} KERNEL_t;

LILLIPUT_INLINE void KERNEL_element(const void *params, const void *a, const void *b, void *y) {
  const KERNEL_t *p = params;
  const T *u = a, *v = b;
  const int32_t product = (*u - p->a_zp) * (*v - p->b_zp);
  const int32_t scaled = scale_by(product, p->mult, p->shift);
  *(T *)y = (T)clamp_i32(wrapping_add(scaled, p->out_zp), p->lo, p->hi);
}

static void KERNEL(const KERNEL_t *p, const T *a, const T *b, T *y) {
  broadcast(KERNEL_element, p, p->walk, (int32_t)sizeof *y, a, b, y);
}
