/* int16 logistic function in Q0.15: lines between the points of a table, TFLM's numbers. May run in place. */
#include "base.h"

typedef struct {
  const uint16_t *table; /* [256] of i / 24 in Q0.16 */
  int32_t n, mult, shift, rounding;
} sigmoid_s16_t;

static void sigmoid_s16(const sigmoid_s16_t *p, const int16_t *x, int16_t *y) {
  for (int32_t i = 0; i < p->n; i++) {
    const int32_t v = (x[i] * p->mult + p->rounding) >> p->shift; /* in 1/12288ths */
    const int32_t size = v < 0 ? -v : v;
    const int32_t place = min_i32(size >> 9, 254), low = p->table[place];
    const int32_t line = (low << 9) + (size & 0x1ff) * (p->table[place + 1] - low);
    const int32_t share = size >> 9 >= 255 ? 0x7fff << 10 : line;
    y[i] = (int16_t)((v < 0 ? (1 << 25) - share + (1 << 9) - 1 : share + (1 << 9)) >> 10);
  }
}
