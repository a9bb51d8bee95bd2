/* float32: the mean of every window of one output row, of its part inside the input.
   Order of accumulation: window rows, columns; then one division. */
#include "rows.h"

typedef struct {
  int32_t iw, channels, ow, kh, kw, stride, pad;
  float lo, hi;
} avgpool_f32_t;

static void avgpool_f32(const void *params, const void *const *rows, void *out, void *scratch) {
  const avgpool_f32_t *p = params;
  float *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++) {
    for (int32_t c = 0; c < p->channels; c++) {
      float sum = 0.0f;
      int32_t n = 0;
      for (int32_t ky = 0; ky < p->kh; ky++) {
        const float *row = rows[ky];
        if (row == NULL) continue;
        for (int32_t kx = 0; kx < p->kw; kx++) {
          const int32_t ix = ox * p->stride + kx - p->pad;
          if (ix < 0 || ix >= p->iw) continue;
          sum += row[ix * p->channels + c];
          n++;
        }
      }
      const float mean = sum / (float)n;
      *y++ = mean < p->lo ? p->lo : mean > p->hi ? p->hi : mean;
    }
  }
}
