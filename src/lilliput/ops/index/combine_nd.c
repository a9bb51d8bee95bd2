/* Combines runs of elements with those of a copy of x, in their order, at y[indices[j, 0], ..., indices[j, k - 1]]. */
#include "combine.h"
#include "index.h"

typedef struct {
  const int32_t *sizes, *strides; /* [k] of the indexed axes; strides in elements */
  int32_t m, k, run, bytes;       /* tuples, indices per tuple, elements of a run, bytes of y */
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const V *x, const T *indices, const V *u, V *y) {
  if (x != y) memcpy(y, x, (size_t)p->bytes);
  for (int32_t j = 0; j < p->m; j++) {
    int32_t place = 0;
    for (int32_t i = 0; i < p->k; i++) place += index_within(*indices++, p->sizes[i]) * p->strides[i];
    for (int32_t i = 0; i < p->run; i++) y[place + i] = F(y[place + i], *u++);
  }
}
