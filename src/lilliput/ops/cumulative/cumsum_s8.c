/* TFLM's int8 running sum: inputs scaled to half their scale / 2^20, summed in int32 (wraps), and scaled to the result.
   It starts at minus the zero point, not at zero, and so do we. */
#include "requantize.h"

typedef struct {
  int32_t outer, n, inner, exclusive, reverse; /* x is [outer][n][inner] */
  int32_t zx, zy, m, shift;
} cumsum_s8_t;

static void cumsum_s8(const cumsum_s8_t *p, const int8_t *x, int8_t *y) {
  const int32_t step = p->reverse ? -p->inner : p->inner;
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t c = 0; c < p->inner; c++) {
      int32_t sum = -p->zx * (1 << 19);
      int32_t at = o * p->n * p->inner + (p->reverse ? (p->n - 1) * p->inner : 0) + c;
      for (int32_t i = 0; i < p->n; i++, at += step) {
        const int32_t next = wrapping_add(sum, (x[at] - p->zx) * (1 << 19)); /* exact: half of 2^20 */
        y[at] = saturate_s8(wrapping_add(scale_by(p->exclusive ? sum : next, p->m, p->shift), p->zy));
        sum = next;
      }
    }
  }
}
