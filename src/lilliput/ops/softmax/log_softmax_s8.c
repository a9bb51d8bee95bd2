/* int8 logarithm of the softmax of rows in steps of 1/16 from zero point 127: TFLM's numbers. May run in place. */
#include "leading_zeros.h"
#include "reciprocal.h"
#include "requantize.h"

typedef struct {
  const int32_t *exp; /* Q12.19, [last + 1]; ends in 0 when some distances count as nothing */
  int32_t last, rows, n;
  int32_t mult, shift;       /* distance -> Q5.26 */
  int32_t back, back_shift;  /* and back */
  int32_t furthest;          /* the largest distance that counts */
} log_softmax_s8_t;

/* log(x) in Q5.26 of x in Q12.19, at least 1: x = 2^e r from two guesses of e, the better one taken by what is larger and
   smaller; log(r) as a quotient of polynomials in r - 2^(-1/4). */
LILLIPUT_INLINE int32_t log_softmax_s8_log(int32_t x) {
  const int32_t root_half = 1518500250, fourth_root_half = 1805811301, quarter = 1 << 23;
  const int32_t a = leading_zeros((uint32_t)x);
  const int32_t ra = doubling_high_mul((int32_t)((uint32_t)x << (a - 1)), root_half);
  const int32_t b = leading_zeros((uint32_t)doubling_high_mul(x, root_half)) - 1;
  const int64_t xb = (int64_t)x * ((int64_t)1 << b);
  const int32_t rb = xb > INT32_MAX ? INT32_MAX : (int32_t)xb;
  const int32_t r = min_i32(ra >= 1 << 30 ? INT32_MAX : 2 * ra, rb);
  const int32_t e = max_i32((12 - a) * (1 << 25) + quarter, (12 - b) * (1 << 25) - quarter); /* Q6.25 */
  const int32_t p = (int32_t)(((int64_t)r + fourth_root_half + 1) / 2);
  const int32_t q = 2 * (r - fourth_root_half);
  const int32_t q2 = doubling_high_mul(q, q);
  const int32_t above = doubling_high_mul(q, r) + doubling_high_mul(doubling_high_mul(q, q2), 117049297);
  const int32_t inner = 1057819769 + q + doubling_high_mul(127690142, q2);
  const int32_t below = doubling_high_mul(p, inner) + doubling_high_mul(638450708, q);
  const int32_t half = (int32_t)(((int64_t)below + INT32_MAX + 1) / 2);
  const int32_t quotient = doubling_high_mul(rounding_shift(above, 6), reciprocal_one_plus(half));
  return 2 * (doubling_high_mul(e, 1488522236) + quotient); /* log(2) in Q0.31 */
}

static void log_softmax_s8(const log_softmax_s8_t *p, const int8_t *x, int8_t *y) {
  for (int32_t r = 0; r < p->rows; r++, x += p->n, y += p->n) {
    int32_t max = -128, sum = 0;
    for (int32_t i = 0; i < p->n; i++) max = max_i32(x[i], max);
    for (int32_t i = 0; i < p->n; i++) sum += p->exp[min_i32(max - x[i], p->last)];
    const int32_t log_sum = log_softmax_s8_log(sum);
    /* Distances below have a logarithm that Q5.26 can hold. */
    const int32_t least = max_i32(-p->furthest - 1, scale_by(log_sum + INT32_MIN, p->back, p->back_shift));
    for (int32_t i = 0; i < p->n; i++) {
      const int32_t d = x[i] - max;
      int32_t v = -128;
      if (d > least) v = rounding_shift(scale_by(d, p->mult, p->shift) - log_sum, 22) + 127;
      y[i] = saturate_s8(v);
    }
  }
}
