/* Writes a block into a copy of x, for every type: y[b, o, start_b + j] = updates[b, o, j]; the start comes from data. */
#include "base.h"

typedef struct {
  int32_t batch, outer, n, m, run, circular; /* x is [batch][outer][n][run bytes], updates are [batch][outer][m][run] */
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const void *x, const void *updates, const T *starts, void *out) {
  const unsigned char *u = updates;
  unsigned char *y = out;
  if (x != out) memcpy(y, x, (size_t)(p->batch * p->outer * p->n * p->run));
  for (int32_t b = 0; b < p->batch; b++) {
    const int32_t last = p->circular ? p->n - 1 : p->n - p->m;
    int64_t from = starts[b];
    if (p->circular) from = from % p->n + (from % p->n < 0 ? p->n : 0);
    const int32_t start = (int32_t)(from < 0 ? 0 : from > last ? last : from);
    for (int32_t o = 0; o < p->outer; o++, y += p->n * p->run) {
      for (int32_t j = 0; j < p->m; j++, u += p->run) {
        const int32_t at = start + j;
        memcpy(y + (at < p->n ? at : at - p->n) * p->run, u, (size_t)p->run);
      }
    }
  }
}
