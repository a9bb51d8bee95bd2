/* The mean of what is known of k neighbours, float32: plain, or weighted with the reciprocal of the distance (with neighbours at distance
   zero only these count). */
#include "base.h"

typedef struct {
  const float *targets; /* [n][outputs] */
  int32_t n, k, outputs, by_distance;
} neighbour_mean_f32_t;

static void neighbour_mean_f32(const neighbour_mean_f32_t *p, const int32_t *index, const float *distance, float *y) {
  const int exact = distance[0] == 0.0f; /* the nearest comes first */
  float total = 0.0f;
  for (int32_t o = 0; o < p->outputs; o++) y[o] = 0.0f;
  for (int32_t i = 0; i < p->k; i++) {
    const float d = distance[i];
    const float weight = !p->by_distance ? 1.0f : !exact ? 1.0f / d : d == 0.0f ? 1.0f : 0.0f;
    const float *t = p->targets + clamp_i32(index[i], 0, p->n - 1) * p->outputs;
    for (int32_t o = 0; o < p->outputs; o++) y[o] += weight * t[o];
    total += weight;
  }
  for (int32_t o = 0; o < p->outputs; o++) y[o] /= total;
}
