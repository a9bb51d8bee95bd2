/* int8: the greatest of every window of one output row on cores with the DSP extension, four channels at a time; where
   four does not divide them, the last block starts earlier. What a window sees is first listed as pointers, one per
   pixel; a null row and columns outside the input are skipped. */
#include "bytes_dsp.h"
#include "loops.h"
#include "rows.h"

enum { MAXPOOL_S8_DSP_PIXELS = 25 }; /* the largest window */

typedef struct {
  int32_t iw, channels, ow, kh, kw, stride, pad, lo, hi, dilation;
} maxpool_s8_dsp_t;

/* All channels of one pixel. */
LILLIPUT_NOINLINE static void maxpool_s8_dsp_pixel(const maxpool_s8_dsp_t *p, const int8_t *const *pixels,
                                                   const int8_t *const *end, int8_t *y) {
  const uint32_t lo = (uint32_t)(p->lo & 255) * 0x01010101u, hi = (uint32_t)(p->hi & 255) * 0x01010101u;
  LILLIPUT_ROLLED for (int32_t c = 0; c < p->channels; c += 4) {
    const int32_t first = min_i32(c, p->channels - 4);
    const int8_t *const *pixel = pixels;
    uint32_t most = lo;
    LILLIPUT_ROLLED do most = bytes_max(most, bytes_load(*pixel++ + first));
    while (pixel != end);
    bytes_store(y + first, bytes_min(most, hi));
  }
}

static void maxpool_s8_dsp(const void *params, const void *const *rows, void *out, void *scratch) {
  const maxpool_s8_dsp_t *p = params;
  const int8_t *pixels[MAXPOOL_S8_DSP_PIXELS];
  int8_t *y = out;
  (void)scratch;
  LILLIPUT_ROLLED for (int32_t ox = 0; ox < p->ow; ox++, y += p->channels) {
    const int8_t **pixel = pixels;
    LILLIPUT_ROLLED for (int32_t ky = 0; ky < p->kh; ky++) {
      const int8_t *const row = rows[ky];
      if (row == NULL) continue;
      int32_t ix = ox * p->stride - p->pad;
      LILLIPUT_ROLLED for (int32_t kx = 0; kx < p->kw; kx++, ix += p->dilation) {
        if ((uint32_t)ix < (uint32_t)p->iw) *pixel++ = row + ix * p->channels;
      }
    }
    maxpool_s8_dsp_pixel(p, pixels, pixel, y);
  }
}
