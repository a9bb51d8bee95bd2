/* A row of `off` with `on` at the place that an index names, for every type (W holds an index and its place); outside -depth .. depth - 1 nowhere. */
#include "base.h"

typedef struct {
  const uint8_t *values; /* off, on: [2][item] */
  int32_t outer, depth, inner, item;
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const T *indices, void *out) {
  unsigned char *y = out;
  for (int32_t o = 0; o < p->outer; o++, indices += p->inner) {
    for (int32_t d = 0; d < p->depth; d++) {
      for (int32_t i = 0; i < p->inner; i++, y += p->item) {
        const int32_t on = indices[i] == (W)d || indices[i] == (W)(d - p->depth);
        for (int32_t b = 0; b < p->item; b++) y[b] = p->values[on * p->item + b];
      }
    }
  }
}
