/* y = F(x) element by element, T to U. May run in place where both are of one type. */
#include "HEADER.h"

typedef struct {
  int32_t n;
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const T *x, U *y) {
  for (int32_t i = 0; i < p->n; i++) y[i] = (U)F(x[i]);
}
