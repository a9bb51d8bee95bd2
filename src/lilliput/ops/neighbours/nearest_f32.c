/* float32: the k nearest of n points, nearest first, the earlier of equals; F is the distance that ranks them. */
#include "logarithm_f32.h"
#include "similarity_f32.h"

typedef struct {
  const float *points; /* [n][features] */
  int32_t n, features, k, root;
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const float *x, int32_t *index, float *distance) {
  const float *v = p->points;
  for (int32_t i = 0; i < p->k; i++) {
    index[i] = 0;
    distance[i] = 0x1.fffffep+127f;
  }
  for (int32_t i = 0; i < p->n; i++, v += p->features) {
    const float d = F(x, v, p->features);
    int32_t j = p->k - 1;
    if (!(d < distance[j])) continue;
    for (; j > 0 && d < distance[j - 1]; j--) {
      distance[j] = distance[j - 1];
      index[j] = index[j - 1];
    }
    distance[j] = d;
    index[j] = i;
  }
  if (p->root) {
    for (int32_t i = 0; i < p->k; i++) distance[i] = sqrt_of(distance[i]);
  }
}
