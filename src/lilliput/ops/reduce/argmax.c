/* T -> I: index of the greatest or least along the middle of three axes; of equals the first or the last wins. NaN does
   only where there is nothing else. */
#include "base.h"

typedef struct {
  int32_t outer, n, inner, least, last;
} KERNEL_t;

/* Anything but NaN compares equal to its copy, whatever T is. */
LILLIPUT_INLINE int KERNEL_number(T a) {
  const T copy = a;
  return a >= copy;
}

static void KERNEL(const KERNEL_t *p, const T *x, I *y) {
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t i = 0; i < p->inner; i++) {
      const T *v = x + o * p->n * p->inner + i;
      T best = v[0];
      int32_t index = 0;
      for (int32_t k = 1; k < p->n; k++) {
        const T now = v[k * p->inner];
        const int further = p->least ? now < best : now > best;
        const int as_far = p->last && !(now < best) && !(now > best) && KERNEL_number(now);
        if (further || as_far || (!KERNEL_number(best) && (p->last || KERNEL_number(now)))) {
          best = now;
          index = k;
        }
      }
      *y++ = index;
    }
  }
}
