/* int8, uint8 or int16: the greatest of every window of one output row; a null row and columns outside the input are skipped. */
#include "rows.h"

typedef struct {
  int32_t iw, channels, ow, kh, kw, stride, pad, lo, hi, dilation;
} KERNEL_t;

enum { KERNEL_most = (T)-1 > 0 ? UINT8_MAX : sizeof(T) == 1 ? INT8_MAX : INT16_MAX };

static void KERNEL(const void *params, const void *const *rows, void *out, void *scratch) {
  const KERNEL_t *p = params;
  const int32_t n = p->channels;
  T *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++, y += n) {
    for (int32_t c = 0; c < n; c++) y[c] = (T)p->lo;
    for (int32_t ky = 0; ky < p->kh; ky++) {
      const T *row = rows[ky];
      if (row == NULL) continue;
      for (int32_t kx = 0; kx < p->kw; kx++) {
        const int32_t ix = ox * p->stride + kx * p->dilation - p->pad;
        if (ix < 0 || ix >= p->iw) continue;
        const T *x = row + ix * n;
        for (int32_t c = 0; c < n; c++) {
          const int32_t more = x[c] - y[c];
          y[c] = (T)(y[c] + (more & ~(more >> 31))); /* a mask instead of a branch on data */
        }
      }
    }
    if (p->hi == KERNEL_most) continue;
    for (int32_t c = 0; c < n; c++) {
      const int32_t less = p->hi - y[c];
      y[c] = (T)(y[c] + (less & (less >> 31)));
    }
  }
}
