/* int8 linear layer of one row on cores with the DSP extension, by packed channel pairs (packed_pair.h). The input's zero
   point is folded into the bias. */
#include "packed_pair_fours.h"
#include "requantize.h"
#include "rows.h"

typedef struct {
  const int32_t *stream; /* [ceil(oc / 4)] pairs of pairs; the last channel is repeated */
  int32_t taps, units;   /* ceil(taps / 4), but at least 2 */
  int32_t oc, lo, hi;
} linear_s8_dsp_t;

static void linear_s8_dsp(const void *params, const void *const *rows, void *out, void *scratch) {
  const linear_s8_dsp_t *p = params;
  const int8_t *const x = rows[0];
  const int32_t words = p->taps >> 2, left = p->taps & 3;
  void *end = scratch;
  if (words > 0) end = packed_pair_widen_one(end, x, words);
  if (left > 0) {
    int8_t last[4] = {0, 0, 0, 0};
    LILLIPUT_ROLLED
    for (int32_t i = 0; i < left; i++) last[i] = x[4 * words + i];
    packed_pair_widen_one(end, last, 1);
  }
  packed_pair_pixel(scratch, p->stream, out, p->oc, p->units);
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(out, p->oc, p->lo, p->hi);
}
