/* Turns the first steps of every sequence around, for every type; how many comes from data. */
#include "index.h"

typedef struct {
  const int32_t *strides;            /* [4] of x in bytes: outer, first, middle, second axis */
  int32_t outer, first, middle, second, run; /* extents; bytes of a run */
  int32_t time_first;                /* whether time is the first of the two axes, else the second */
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const void *in, const T *lengths, void *out) {
  const unsigned char *x = in;
  unsigned char *y = out;
  const int32_t steps = p->time_first ? p->first : p->second;
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t i = 0; i < p->first; i++) {
      for (int32_t m = 0; m < p->middle; m++) {
        for (int32_t j = 0; j < p->second; j++, y += p->run) {
          const int32_t t = p->time_first ? i : j;
          const int64_t given = lengths[p->time_first ? j : i];
          const int32_t length = (int32_t)(given < 0 ? 0 : given > steps ? steps : given);
          const int32_t from = t < length ? length - 1 - t : t;
          copy_run(y, x + o * p->strides[0] + (p->time_first ? from : i) * p->strides[1] + m * p->strides[2] +
                          (p->time_first ? j : from) * p->strides[3], p->run);
        }
      }
    }
  }
}
