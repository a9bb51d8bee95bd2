/* The votes of k neighbours among classes, float32: one each, or the reciprocal of the distance (with neighbours at distance zero
   only these count); the shares, and the index of the greatest, the first of equals. */
#include "base.h"

typedef struct {
  const uint8_t *classes_of; /* [n] */
  int32_t n, k, classes, by_distance;
} neighbour_vote_f32_t;

static void neighbour_vote_f32(const neighbour_vote_f32_t *p, const int32_t *index, const float *distance, int32_t *label,
                               float *y) {
  const int exact = distance[0] == 0.0f; /* the nearest comes first */
  float total = 0.0f;
  int32_t best = 0;
  for (int32_t c = 0; c < p->classes; c++) y[c] = 0.0f;
  for (int32_t i = 0; i < p->k; i++) {
    const float d = distance[i];
    const float vote = !p->by_distance ? 1.0f : !exact ? 1.0f / d : d == 0.0f ? 1.0f : 0.0f;
    y[p->classes_of[clamp_i32(index[i], 0, p->n - 1)]] += vote;
    total += vote;
  }
  for (int32_t c = 1; c < p->classes; c++) best = y[c] > y[best] ? c : best;
  for (int32_t c = 0; c < p->classes; c++) y[c] /= total;
  label[0] = best;
}
