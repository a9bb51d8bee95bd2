/* Reduction F of elements T in an accumulator A: four loops over what stays around four over what becomes one value.
   Order of accumulation: as the values lie in memory. */
#include "reductions.h"

typedef struct {
  const int32_t *kept, *over; /* [4][2]: count, stride in elements; outermost first */
} KERNEL_t;

LILLIPUT_INLINE T KERNEL_one(const int32_t *n, const T *x) {
  A all = F_start(x[0]);
  for (int32_t a = 0; a < n[0]; a++) {
    for (int32_t b = 0; b < n[2]; b++) {
      for (int32_t c = 0; c < n[4]; c++) {
        const T *v = x + a * n[1] + b * n[3] + c * n[5];
        for (int32_t d = 0; d < n[6]; d++, v += n[7]) all = F_step(all, *v, A);
      }
    }
  }
  return (T)F_finish(all);
}

static void KERNEL(const KERNEL_t *p, const T *x, T *y) {
  const int32_t *n = p->kept;
  for (int32_t a = 0; a < n[0]; a++) {
    for (int32_t b = 0; b < n[2]; b++) {
      for (int32_t c = 0; c < n[4]; c++) {
        for (int32_t d = 0; d < n[6]; d++) {
          *y++ = KERNEL_one(p->over, x + a * n[1] + b * n[3] + c * n[5] + d * n[7]);
        }
      }
    }
  }
}
