/* int8 x / |x| of rows in steps of 1/128: TFLM's L2_NORMALIZATION, a reciprocal root by five Newton steps. May run in place. */
#include "requantize.h"

typedef struct {
  int32_t rows, n, in_zp;
} l2_norm_s8_t;

/* Multiplier and right shift of 1 / sqrt(sum); Q3.28 on the way. */
LILLIPUT_INLINE int32_t l2_norm_s8_multiplier(int32_t sum, int32_t *shift) {
  *shift = 0;
  if (sum <= 1) return INT32_MAX;
  *shift = 11;
  for (; sum >= (int32_t)1 << 29; sum /= 4) ++*shift;
  for (; sum < (int32_t)1 << 27; sum *= 4) --*shift;
  const int32_t half = rounding_shift(sum >> 1, 1);
  int32_t x = (int32_t)1 << 28;
  for (int i = 0; i < 5; i++) {
    const int32_t cube = doubling_high_mul(doubling_high_mul(x, x), x) * 64;
    x = (doubling_high_mul(3 * ((int32_t)1 << 27), x) - doubling_high_mul(half, cube)) * 8;
  }
  x = doubling_high_mul(x, 1518500250); /* half the root of 2 */
  if (*shift < 0) {
    x *= (int32_t)1 << -*shift;
    *shift = 0;
  }
  return x;
}

static void l2_norm_s8(const l2_norm_s8_t *p, const int8_t *x, int8_t *y) {
  for (int32_t r = 0; r < p->rows; r++, x += p->n, y += p->n) {
    int32_t sum = 0, shift;
    for (int32_t i = 0; i < p->n; i++) sum += (x[i] - p->in_zp) * (x[i] - p->in_zp);
    const int32_t m = l2_norm_s8_multiplier(sum, &shift);
    for (int32_t i = 0; i < p->n; i++) y[i] = saturate_s8(scale_by(x[i] - p->in_zp, m, 7 - shift));
  }
}
