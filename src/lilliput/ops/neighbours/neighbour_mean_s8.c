/* The mean of what is known of k neighbours, int8 on the result's own grid. */
#include "requantize.h"

typedef struct {
  const int8_t *targets; /* [n][outputs] */
  int32_t n, k, outputs;
  int32_t mult, shift, out_zp, lo, hi;
} neighbour_mean_s8_t;

static void neighbour_mean_s8(const neighbour_mean_s8_t *p, const int32_t *index, const int8_t *distance, int8_t *y) {
  (void)distance;
  for (int32_t o = 0; o < p->outputs; o++) {
    int32_t sum = 0;
    for (int32_t i = 0; i < p->k; i++) {
      sum += p->targets[clamp_i32(index[i], 0, p->n - 1) * p->outputs + o] - p->out_zp;
    }
    y[o] = (int8_t)clamp_i32(wrapping_add(scale_by(sum, p->mult, p->shift), p->out_zp), p->lo, p->hi);
  }
}
