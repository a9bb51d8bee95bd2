/* int8: the greatest of every window of one output row; a null row and columns outside the input are skipped. */
#include "rows.h"

typedef struct {
  int32_t iw, channels, ow, kh, kw, stride, pad, lo, hi, dilation;
} maxpool_s8_t;

static void maxpool_s8(const void *params, const void *const *rows, void *out, void *scratch) {
  const maxpool_s8_t *p = params;
  const int32_t n = p->channels;
  int8_t *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++, y += n) {
    for (int32_t c = 0; c < n; c++) y[c] = (int8_t)p->lo;
    for (int32_t ky = 0; ky < p->kh; ky++) {
      const int8_t *row = rows[ky];
      if (row == NULL) continue;
      for (int32_t kx = 0; kx < p->kw; kx++) {
        const int32_t ix = ox * p->stride + kx * p->dilation - p->pad;
        if (ix < 0 || ix >= p->iw) continue;
        const int8_t *x = row + ix * n;
        for (int32_t c = 0; c < n; c++) {
          const int32_t more = x[c] - y[c];
          y[c] = (int8_t)(y[c] + (more & ~(more >> 31))); /* a mask instead of a branch on data */
        }
      }
    }
    if (p->hi == INT8_MAX) continue;
    for (int32_t c = 0; c < n; c++) {
      const int32_t less = p->hi - y[c];
      y[c] = (int8_t)(y[c] + (less & (less >> 31)));
    }
  }
}
