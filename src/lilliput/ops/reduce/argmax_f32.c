/* float32 -> int32: index of the greatest along the middle of three axes; the first of equals wins, NaN never does
   unless there is nothing else. */
#include "base.h"

typedef struct {
  int32_t outer, n, inner;
} argmax_f32_t;

static void argmax_f32(const argmax_f32_t *p, const float *x, int32_t *y) {
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t i = 0; i < p->inner; i++) {
      const float *v = x + o * p->n * p->inner + i;
      float best = v[0];
      int32_t index = 0;
      for (int32_t k = 1; k < p->n; k++) {
        const float now = v[k * p->inner];
        const int greater = (now > best) | ((best != best) & (now == now)); /* no branch */
        best = greater ? now : best;
        index = greater ? k : index;
      }
      *y++ = index;
    }
  }
}
