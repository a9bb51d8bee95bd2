/* y = F(a, b) element by element, T to U. Any broadcasting; may run in place on an operand of the result's size and type. */
#include "broadcast.h"
#include "HEADER.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
} KERNEL_t;

LILLIPUT_INLINE void KERNEL_element(const void *params, const void *a, const void *b, void *y) {
  const T *u = a, *v = b;
  (void)params;
  *(U *)y = (U)F(*u, *v);
}

static void KERNEL(const KERNEL_t *p, const T *a, const T *b, U *y) {
  broadcast_to(KERNEL_element, p, p->walk, (int32_t)sizeof *a, (int32_t)sizeof *y, a, b, y);
}
