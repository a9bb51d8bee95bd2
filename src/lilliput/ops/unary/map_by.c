/* y = F(x, k) element by element in float32, k being the operator's attributes. May run in place. */
#include "HEADER.h"

typedef struct {
  const float *k;
  int32_t n;
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const float *x, float *y) {
  for (int32_t i = 0; i < p->n; i++) y[i] = F(x[i], p->k);
}
