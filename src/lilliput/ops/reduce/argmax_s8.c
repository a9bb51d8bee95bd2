/* int8 -> int32: index of the greatest along the middle of three axes; the first of equals wins. */
#include "base.h"

typedef struct {
  int32_t outer, n, inner;
} argmax_s8_t;

static void argmax_s8(const argmax_s8_t *p, const int8_t *x, int32_t *y) {
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t i = 0; i < p->inner; i++) {
      const int8_t *v = x + o * p->n * p->inner + i;
      int32_t best = v[0], index = 0;
      for (int32_t k = 1; k < p->n; k++) {
        const int32_t now = v[k * p->inner];
        const int32_t greater = (best - now) >> 31; /* all ones or zero: a mask instead of a branch on data */
        best ^= (best ^ now) & greater;
        index ^= (index ^ k) & greater;
      }
      *y++ = index;
    }
  }
}
