/* int8 or int16: the rounded mean of every window of one output row, of its part inside the input: the reference. */
#include "rows.h"

typedef struct {
  int32_t iw, channels, ow, kh, kw, stride, pad, lo, hi;
} KERNEL_t;

static void KERNEL(const void *params, const void *const *rows, void *out, void *scratch) {
  const KERNEL_t *p = params;
  T *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++) {
    for (int32_t c = 0; c < p->channels; c++) {
      int32_t sum = 0, n = 0;
      for (int32_t ky = 0; ky < p->kh; ky++) {
        const T *row = rows[ky];
        if (row == NULL) continue;
        for (int32_t kx = 0; kx < p->kw; kx++) {
          const int32_t ix = ox * p->stride + kx - p->pad;
          if (ix < 0 || ix >= p->iw) continue;
          sum += row[ix * p->channels + c];
          n++;
        }
      }
      *y++ = (T)clamp_i32((sum > 0 ? sum + n / 2 : sum - n / 2) / n, p->lo, p->hi);
    }
  }
}
