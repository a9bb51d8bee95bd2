/* int8 or int16 (x - mean) / sqrt(variance + epsilon) * gamma + beta within each group of the last axis; without the mean where
   `centred` is 0. x is [outer][rows][groups][width]; a group's values are those of all its rows, n of them, at most 2^16 (int16: 2^12).
   Exact sums, of squares in S; one integer square root and one division per group; the rest by F. May run in place. */
#include "inverse_root.h"
#include "loops.h"
#include "normal_value.h"

typedef struct {
  const int32_t *gamma; /* [groups][width]: gamma / output scale, times 2^(shift - 22) */
  const int64_t *beta;  /* [groups][width]: beta / output scale, zero point and rounding, times 2^shift */
  int64_t epsilon;      /* n^2 epsilon / input scale^2, less than 2^61 */
  int32_t outer, rows, groups, width, centred, n, in_zp, shift, lo, hi;
} KERNEL_t;

/* 2^61 / sqrt(w 2^(2 k)) with k such that the root has 31 bits; 0 for no spread at all. 0 <= w < 2^62. */
LILLIPUT_INLINE int32_t KERNEL_inverse(uint64_t w, int32_t *k) {
  *k = 0;
  if (w == 0) return 0;
  for (int32_t step = 16; step > 0; step >>= 1) {
    if (w >> (62 - 2 * step) == 0) {
      w <<= 2 * step;
      *k += step;
    }
  }
  const uint32_t inverse = inverse_u32(root_u64(w << 2) & ~(uint32_t)1); /* the root's last bit stands for a half */
  return inverse > INT32_MAX ? INT32_MAX : (int32_t)inverse;
}

static void KERNEL(const KERNEL_t *p, const T *x, T *y) {
  const int32_t step = p->groups * p->width;
  for (int32_t o = 0; o < p->outer; o++, x += p->rows * step, y += p->rows * step) {
    for (int32_t g = 0; g < p->groups; g++) {
      const T *v = x + g * p->width;
      int32_t sum = 0, k;
      S squares = 0;
      for (int32_t r = 0; r < p->rows; r++) {
        for (int32_t i = 0; i < p->width; i++) {
          const int32_t d = v[r * step + i] - p->in_zp;
          sum += d;
          squares += (S)d * (S)d;
        }
      }
      if (!p->centred) sum = 0;
      const int64_t spread = p->n * (int64_t)squares - (int64_t)sum * sum; /* n^2 variance */
      const int32_t minus = -KERNEL_inverse((uint64_t)(spread + p->epsilon), &k);
      const int32_t *gamma = p->gamma + g * p->width;
      const int64_t *beta = p->beta + g * p->width;
      T *z = y + g * p->width;
      for (int32_t r = 0; r < p->rows; r++) {
        LILLIPUT_ROLLED for (int32_t i = 0; i < p->width; i++) {
          const int32_t d = sum - p->n * (v[r * step + i] - p->in_zp);
          const R scaled = F_value(d, minus, 39 - k, gamma[i], beta[i], p->shift);
          z[r * step + i] = (T)(scaled < p->lo ? p->lo : scaled > p->hi ? p->hi : scaled);
        }
      }
    }
  }
}
