/* int8 softmax of rows from a table of exponentials by distance to the maximum; TFLM's numbers. May run in place. */
#include "requantize.h"

typedef struct {
  const int32_t *exp; /* Q0.31, [last + 1]; ends in 0 when some distances count as nothing */
  int32_t last, rows, n;
} softmax_s8_t;

/* How far `x` > 0 must shift left until its top bit is set, without a branch on it. */
LILLIPUT_INLINE int32_t softmax_s8_headroom(uint32_t x) {
  int32_t headroom = 0;
  for (int32_t step = 16; step > 0; step >>= 1) {
    const int32_t empty = x >> (32 - step) == 0 ? step : 0;
    x <<= empty;
    headroom += empty;
  }
  return headroom;
}

/* 1 / (1 + a) in Q0.31 from (1 + a) / 2 in Q0.31: three Newton steps in Q2.29. */
LILLIPUT_INLINE int32_t softmax_s8_reciprocal(int32_t half) {
  int32_t x = 1515870810 + doubling_high_mul(half, -1010580540);
  for (int i = 0; i < 3; i++) {
    x += 4 * doubling_high_mul(x, ((int32_t)1 << 29) - doubling_high_mul(half, x));
  }
  return x >= (int32_t)1 << 30 ? INT32_MAX : 2 * x;
}

static void softmax_s8(const softmax_s8_t *p, const int8_t *x, int8_t *y) {
  for (int32_t r = 0; r < p->rows; r++, x += p->n, y += p->n) {
    int32_t max = -128;
    uint32_t sum = 0; /* Q12.19 */
    for (int32_t i = 0; i < p->n; i++) max = max_i32(x[i], max);
    for (int32_t i = 0; i < p->n; i++) {
      sum += (uint32_t)rounding_shift(p->exp[min_i32(max - x[i], p->last)], 12);
    }
    const int32_t headroom = softmax_s8_headroom(sum);
    /* From 512 on every share is less than half a step. */
    const int32_t reciprocal = headroom < 4 ? 0 : softmax_s8_reciprocal((int32_t)((sum << headroom) >> 1));
    const int32_t shift = min_i32(35 - headroom, 31);
    for (int32_t i = 0; i < p->n; i++) {
      const int32_t share = doubling_high_mul(reciprocal, p->exp[min_i32(max - x[i], p->last)]);
      y[i] = (int8_t)min_i32(rounding_shift(share, shift) - 128, 127);
    }
  }
}
