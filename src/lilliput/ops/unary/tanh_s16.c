/* int16 tanh in Q0.15: 2 sigmoid(2 x) - 1 by lines between the points of a table, TFLM's numbers. May run in place. */
#include "base.h"

typedef struct {
  const uint16_t *table; /* [256], the logistic function of i / 24 in Q0.16 */
  int32_t n, mult, shift, rounding;
} tanh_s16_t;

static void tanh_s16(const tanh_s16_t *p, const int16_t *x, int16_t *y) {
  for (int32_t i = 0; i < p->n; i++) {
    const int32_t v = (x[i] * p->mult + p->rounding) >> p->shift; /* in 1/12288ths */
    const int32_t size = v < 0 ? -v : v;
    const int32_t place = min_i32(size >> 8, 254), low = p->table[place];
    const int32_t line = (low << 8) + (size & 0xff) * (p->table[place + 1] - low);
    const int32_t share = (size >> 8 >= 255 ? 0xffff << 8 : line) - (1 << 23);
    y[i] = (int16_t)((v < 0 ? -share + (1 << 7) - 1 : share + (1 << 7)) >> 8);
  }
}
