/* Replaces runs of bytes of a copy of x, for every type: y[indices[j, 0], ..., indices[j, k - 1]] = updates[j]; later ones win. */
#include "index.h"

typedef struct {
  const int32_t *sizes, *strides; /* [k] of the indexed axes; strides in bytes */
  int32_t m, k, run, bytes;       /* tuples, indices per tuple, bytes of a run, bytes of y */
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const void *x, const T *indices, const void *updates, void *out) {
  const unsigned char *u = updates;
  unsigned char *y = out;
  if (x != out) memcpy(y, x, (size_t)p->bytes);
  for (int32_t j = 0; j < p->m; j++, u += p->run) {
    int32_t place = 0;
    for (int32_t i = 0; i < p->k; i++) place += index_within(*indices++, p->sizes[i]) * p->strides[i];
    copy_run(y + place, u, p->run);
  }
}
