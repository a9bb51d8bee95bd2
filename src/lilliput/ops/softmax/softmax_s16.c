/* int16 softmax of rows, result in Q0.15, from tables of e^x and of 1 / (1 + x); TFLM's numbers. May run in place. */
#include "leading_zeros.h"
#include "requantize.h"

typedef struct {
  const int16_t *exp;        /* [513] of -10 .. 0 in Q0.15 */
  const int16_t *reciprocal; /* [513] of 1 / (1 + x), x from 0 to 1, in Q0.15 */
  int32_t rows, n, mult, shift;
} softmax_s16_t;

/* On the line between two of 513 points; every int16 is a place. */
LILLIPUT_INLINE int32_t softmax_s16_between(const int16_t *table, int32_t place) {
  const int16_t *low = table + 256 + (place >> 7);
  return low[0] + (((low[1] - low[0]) * (place & 127) + 64) >> 7);
}

static void softmax_s16(const softmax_s16_t *p, const int16_t *x, int16_t *y) {
  for (int32_t r = 0; r < p->rows; r++, x += p->n, y += p->n) {
    int32_t max = INT16_MIN;
    uint32_t sum = 0; /* Q16.15 */
    for (int32_t i = 0; i < p->n; i++) max = max_i32(x[i], max);
    for (int32_t i = 0; i < p->n; i++) {
      const int32_t place = max_i32(scale_by(x[i] - max, p->mult, p->shift) + INT16_MAX, INT16_MIN);
      const int32_t power = softmax_s16_between(p->exp, place);
      y[i] = (int16_t)power;
      sum += (uint32_t)power;
    }
    const int32_t zeros = leading_zeros(sum); /* sum >= 1: the greatest element's power */
    const int32_t share = (int32_t)(((sum << (zeros - 1)) + (1u << 13)) >> 14); /* 1 to 2 in Q1.16 */
    const int32_t inverse = softmax_s16_between(p->reciprocal, min_i32(share - 3 * (1 << 15), INT16_MAX));
    const int32_t right = 31 - zeros;
    for (int32_t i = 0; i < p->n; i++) {
      y[i] = (int16_t)clamp_i32((y[i] * inverse + (1 << (right - 1))) >> right, 0, INT16_MAX);
    }
  }
}
