/* Gathers runs of bytes from a constant table: y[b, o, j] = table[b, o, indices[b, j]]. */
#include "index.h"

typedef struct {
  const uint8_t *table; /* [batch][outer][n][run] */
  int32_t batch, outer, n, m, run;
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const T *indices, void *out) {
  const unsigned char *x = p->table;
  unsigned char *y = out;
  for (int32_t b = 0; b < p->batch; b++, indices += p->m) {
    for (int32_t o = 0; o < p->outer; o++, x += p->n * p->run) {
      for (int32_t j = 0; j < p->m; j++, y += p->run) {
        copy_run(y, x + index_within(indices[j], p->n) * p->run, p->run);
      }
    }
  }
}
