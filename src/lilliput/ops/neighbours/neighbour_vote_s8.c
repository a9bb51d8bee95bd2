/* The votes of k neighbours among classes, one each: shares in int8 and the index of the greatest, the first of equals. */
#include "requantize.h"

typedef struct {
  const uint8_t *classes_of; /* [n] */
  int32_t n, k, classes;
  int32_t mult, shift, out_zp, lo, hi;
} neighbour_vote_s8_t;

static void neighbour_vote_s8(const neighbour_vote_s8_t *p, const int32_t *index, const int8_t *distance, int32_t *label,
                              int8_t *y) {
  int32_t most = -1;
  (void)distance;
  for (int32_t c = 0; c < p->classes; c++) {
    int32_t votes = 0;
    for (int32_t i = 0; i < p->k; i++) votes += p->classes_of[clamp_i32(index[i], 0, p->n - 1)] == c ? 1 : 0;
    if (votes > most) {
      most = votes;
      label[0] = c;
    }
    y[c] = (int8_t)clamp_i32(wrapping_add(scale_by(votes, p->mult, p->shift), p->out_zp), p->lo, p->hi);
  }
}
