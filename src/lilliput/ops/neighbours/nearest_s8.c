/* int8: the k nearest of n points, nearest first, the earlier of equals. Distances are exact integers, of which the k least are brought
   to the result's scale: the sum of absolute differences, or the root of the sum of squares. */
#include "requantize.h"

typedef struct {
  const int8_t *points; /* [n][features], on the grid of x */
  int32_t n, features, k, euclidean;
  int32_t up; /* squares are shifted left before the root is taken */
  int32_t mult, shift, out_zp, lo, hi;
} nearest_s8_t;

/* The largest integer whose square is not above v, bit by bit. */
LILLIPUT_INLINE uint32_t nearest_s8_root(uint32_t v) {
  uint32_t root = 0;
  for (uint32_t bit = (uint32_t)1 << 30; bit != 0; bit >>= 2) {
    const uint32_t more = root + bit;
    root >>= 1;
    if (v >= more) {
      v -= more;
      root += bit;
    }
  }
  return root;
}

static void nearest_s8(const nearest_s8_t *p, const int8_t *x, int32_t *index, int8_t *distance, void *scratch) {
  const int8_t *v = p->points;
  int32_t *least = scratch; /* [k] */
  for (int32_t i = 0; i < p->k; i++) {
    index[i] = 0;
    least[i] = INT32_MAX;
  }
  for (int32_t i = 0; i < p->n; i++, v += p->features) {
    int32_t sum = 0, j = p->k - 1;
    if (p->euclidean) {
      for (int32_t f = 0; f < p->features; f++) {
        const int32_t d = x[f] - v[f];
        sum += d * d;
      }
    } else {
      for (int32_t f = 0; f < p->features; f++) {
        const int32_t d = x[f] - v[f];
        sum += d < 0 ? -d : d;
      }
    }
    if (sum >= least[j]) continue;
    for (; j > 0 && sum < least[j - 1]; j--) {
      least[j] = least[j - 1];
      index[j] = index[j - 1];
    }
    least[j] = sum;
    index[j] = i;
  }
  for (int32_t i = 0; i < p->k; i++) {
    const int32_t d = p->euclidean ? (int32_t)nearest_s8_root((uint32_t)least[i] << p->up) : least[i];
    distance[i] = (int8_t)clamp_i32(wrapping_add(scale_by(d, p->mult, p->shift), p->out_zp), p->lo, p->hi);
  }
}
