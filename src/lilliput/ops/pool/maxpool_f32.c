/* float32: the greatest of every window of one output row; a null row and columns outside the input are skipped.
   NaN loses against any number. */
#include "rows.h"

typedef struct {
  int32_t iw, channels, ow, kh, kw, stride, pad;
  float lo, hi;
  int32_t dilation;
} maxpool_f32_t;

static void maxpool_f32(const void *params, const void *const *rows, void *out, void *scratch) {
  const maxpool_f32_t *p = params;
  const int32_t n = p->channels;
  float *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++, y += n) {
    for (int32_t c = 0; c < n; c++) y[c] = p->lo;
    for (int32_t ky = 0; ky < p->kh; ky++) {
      const float *row = rows[ky];
      if (row == NULL) continue;
      for (int32_t kx = 0; kx < p->kw; kx++) {
        const int32_t ix = ox * p->stride + kx * p->dilation - p->pad;
        if (ix < 0 || ix >= p->iw) continue;
        const float *x = row + ix * n;
        for (int32_t c = 0; c < n; c++) y[c] = x[c] > y[c] ? x[c] : y[c];
      }
    }
    for (int32_t c = 0; c < n; c++) y[c] = y[c] > p->hi ? p->hi : y[c];
  }
}
