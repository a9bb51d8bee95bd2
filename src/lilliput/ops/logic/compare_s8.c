/* int8 a and b under quantizations of their own, compared as TFLM: both times 2^8 and their scales. Any broadcasting. */
#include "broadcast.h"
#include "integers.h"
#include "requantize.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  int32_t a_zp, b_zp, a_mult, a_shift, b_mult, b_shift;
} KERNEL_t;

LILLIPUT_INLINE void KERNEL_element(const void *params, const void *a, const void *b, void *y) {
  const KERNEL_t *p = params;
  const int8_t *u = a, *v = b;
  const int32_t c = scale_by((*u - p->a_zp) * 256, p->a_mult, p->a_shift);
  const int32_t d = scale_by((*v - p->b_zp) * 256, p->b_mult, p->b_shift);
  *(uint8_t *)y = (uint8_t)F(c, d);
}

static void KERNEL(const KERNEL_t *p, const int8_t *a, const int8_t *b, uint8_t *y) {
  broadcast(KERNEL_element, p, p->walk, (int32_t)sizeof *y, a, b, y);
}
