/* int8 softmax of rows from a table of exponentials by distance to the maximum; TFLM's numbers. May run in place. */
#include "leading_zeros.h"
#include "reciprocal.h"
#include "requantize.h"

typedef struct {
  const int32_t *exp; /* Q0.31, [last + 1]; ends in 0 when some distances count as nothing */
  int32_t last, rows, n;
} softmax_s8_t;

static void softmax_s8(const softmax_s8_t *p, const int8_t *x, int8_t *y) {
  for (int32_t r = 0; r < p->rows; r++, x += p->n, y += p->n) {
    int32_t max = -128;
    uint32_t sum = 0; /* Q12.19 */
    for (int32_t i = 0; i < p->n; i++) max = max_i32(x[i], max);
    for (int32_t i = 0; i < p->n; i++) {
      sum += (uint32_t)rounding_shift(p->exp[min_i32(max - x[i], p->last)], 12);
    }
    const int32_t headroom = leading_zeros(sum);
    /* From 512 on every share is less than half a step. */
    const int32_t reciprocal = headroom < 4 ? 0 : reciprocal_one_plus((int32_t)((sum << headroom) >> 1));
    const int32_t shift = min_i32(35 - headroom, 31);
    for (int32_t i = 0; i < p->n; i++) {
      const int32_t share = doubling_high_mul(reciprocal, p->exp[min_i32(max - x[i], p->last)]);
      y[i] = (int8_t)min_i32(rounding_shift(share, shift) - 128, 127);
    }
  }
}
