/* Gathers runs of bytes by tuples of indices, for every type: y[b, j] = x[b, indices[b, j, 0], ..., indices[b, j, k - 1]]. */
#include "index.h"

typedef struct {
  const int32_t *sizes, *strides; /* [k] of the indexed axes; strides in bytes */
  int32_t batch, pitch, m, k, run; /* bytes of x per batch, tuples per batch, indices per tuple, bytes of a run */
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const void *in, const T *indices, void *out) {
  const unsigned char *x = in;
  unsigned char *y = out;
  for (int32_t b = 0; b < p->batch; b++, x += p->pitch) {
    for (int32_t j = 0; j < p->m; j++, y += p->run) {
      int32_t place = 0;
      for (int32_t i = 0; i < p->k; i++) place += index_within(*indices++, p->sizes[i]) * p->strides[i];
      copy_run(y, x + place, p->run);
    }
  }
}
