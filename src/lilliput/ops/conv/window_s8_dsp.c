/* int8 convolution of an output row of one pixel on cores with the DSP extension: its window is collected, then it is a
   linear layer. The input's zero point is folded into the bias. */
#include "packed_pair_fours.h"
#include "packed_pair_windows.h"
#include "requantize.h"
#include "rows.h"

typedef struct {
  const int32_t *stream; /* [ceil(oc / 4)] pairs of pairs; the last channel is repeated */
  packed_pair_window_t window;
  int32_t units; /* ceil(kh * kw * ic / 4), but at least 2 */
  int32_t kh, oc, lo, hi;
} window_s8_dsp_t;

static void window_s8_dsp(const void *params, const void *const *rows, void *out, void *scratch) {
  const window_s8_dsp_t *p = params;
  int8_t *const bytes = (int8_t *)scratch + 8 * p->units;
  packed_pair_copy(&p->window, rows, p->kh, -p->window.pad, bytes);
  packed_pair_widen_one(scratch, bytes, p->units);
  packed_pair_pixel(scratch, p->stream, out, p->oc, p->units);
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(out, p->oc, p->lo, p->hi);
}
