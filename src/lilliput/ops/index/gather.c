/* Gathers runs of bytes along one axis, for every type: y[b, o, j] = x[b, o, indices[b, j]]. */
#include "index.h"

typedef gather_t KERNEL_t;

static void KERNEL(const KERNEL_t *p, const void *in, const T *indices, void *out) {
  const unsigned char *x = in;
  unsigned char *y = out;
  for (int32_t b = 0; b < p->batch; b++, indices += p->m) {
    for (int32_t o = 0; o < p->outer; o++, x += p->n * p->run) {
      for (int32_t j = 0; j < p->m; j++, y += p->run) {
        copy_run(y, x + index_within(indices[j], p->n) * p->run, p->run);
      }
    }
  }
}
