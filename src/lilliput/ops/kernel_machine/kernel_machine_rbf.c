/* Support vector machine with a radial basis function in integers of type T (int8_t or int16_t): squared distances in S
   (uint32_t or uint64_t), the exponential in Q0.15 from two tables, sums in int32. The definition is in docs/quantization.md. */
#include "requantize.h"

typedef struct {
  const T *vectors;            /* [n][features], class by class, on the grid of x */
  const int16_t *coefficients; /* [n][classes - 1] */
  const int32_t *intercepts;   /* [pairs] */
  const int32_t *counts;       /* [classes] */
  const uint16_t *coarse;      /* [64]: 2^15 2^(-i / 64) */
  const uint16_t *fine;        /* [64]: 65535 2^(-i / 4096) */
  int32_t features, classes, pairs;
  int32_t narrow, furthest; /* distances are shifted right; beyond the furthest the function counts as zero */
  int32_t mult, shift;      /* from a distance to the exponent of 2, in Q4.12 */
  int32_t product_shift;
  int32_t out_mult, out_shift, out_zp, lo, hi;
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const T *x, T *y, void *scratch) {
  const T *v = p->vectors;
  const int16_t *c = p->coefficients;
  int32_t *sums = scratch;
  const int32_t half = (int32_t)(((uint32_t)1 << p->product_shift) >> 1);
  for (int32_t i = 0; i < p->pairs; i++) sums[i] = p->intercepts[i];
  for (int32_t own = 0, first = 0; own < p->classes; own++) {
    for (int32_t n = p->counts[own]; n > 0; n--, v += p->features, c += p->classes - 1) {
      S far = 0;
      for (int32_t i = 0; i < p->features; i++) {
        const uint32_t d = (uint32_t)((int32_t)x[i] - (int32_t)v[i]);
        far += d * d; /* modulo 2^32, and below it for any two int16 */
      }
      far >>= p->narrow;
      if (far > (uint32_t)p->furthest) continue;
      const int32_t u = scale_by((int32_t)far, p->mult, p->shift);
      const uint32_t product = (uint32_t)p->coarse[(u >> 6) & 63] * p->fine[u & 63];
      const int32_t down = u >> 12; /* at most 15 */
      const int32_t alike = (int32_t)((product + ((uint32_t)1 << (15 + down))) >> (16 + down));
      int32_t pair = own - 1, r = 0; /* (0, own), then (1, own), ... */
      for (; r < own; pair += p->classes - r - 2, r++) sums[pair] += (alike * c[r] + half) >> p->product_shift;
      int32_t *rest = sums + first; /* (own, own + 1), (own, own + 2), ... */
      for (; r < p->classes - 1; r++) *rest++ += (alike * c[r] + half) >> p->product_shift;
    }
    first += p->classes - own - 1;
  }
  for (int32_t i = 0; i < p->pairs; i++) {
    const int32_t sum = scale_by(sums[i], p->out_mult, p->out_shift);
    y[i] = (T)clamp_i32(wrapping_add(sum, p->out_zp), p->lo, p->hi);
  }
}
