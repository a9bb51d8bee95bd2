/* int8: the rounded mean of every window of one output row, dividing by multiplication with a 24-bit reciprocal.
   The division of N = |sum| + n / 2 <= 128.5 n by n: with m = floor(2^24 / n) + 1 the error of N m / 2^24 is below
   N / 2^24 < 1 / n, too little to reach the next integer while 128.5 n^2 < 2^24, that is up to n = 361; and
   N m < 128.5 (2^24 + n) fits in 32 bits. One division per pixel, none whose time depends on data. */
#include "rows.h"

typedef struct {
  int32_t iw, channels, ow, kh, kw, stride, pad, lo, hi;
} avgpool_s8_mul_t;

static void avgpool_s8_mul(const void *params, const void *const *rows, void *out, void *scratch) {
  const avgpool_s8_mul_t *p = params;
  int32_t height = 0;
  int8_t *y = out;
  (void)scratch;
  for (int32_t ky = 0; ky < p->kh; ky++) height += rows[ky] != NULL ? 1 : 0;
  for (int32_t ox = 0; ox < p->ow; ox++) {
    const int32_t left = ox * p->stride - p->pad;
    const int32_t from = max_i32(left, 0), to = min_i32(left + p->kw, p->iw);
    const uint32_t n = (uint32_t)(height * (to - from));
    const uint32_t reciprocal = ((uint32_t)1 << 24) / n + 1u;
    for (int32_t c = 0; c < p->channels; c++) {
      int32_t sum = 0;
      for (int32_t ky = 0; ky < p->kh; ky++) {
        if (rows[ky] == NULL) continue;
        const int8_t *x = (const int8_t *)rows[ky] + from * p->channels + c;
        for (int32_t ix = from; ix < to; ix++, x += p->channels) sum += *x;
      }
      const int32_t sign = sum >> 31;
      const uint32_t size = (uint32_t)((sum ^ sign) - sign);
      const int32_t mean = (int32_t)(((size + n / 2u) * reciprocal) >> 24);
      *y++ = (int8_t)clamp_i32((mean ^ sign) - sign, p->lo, p->hi);
    }
  }
}
