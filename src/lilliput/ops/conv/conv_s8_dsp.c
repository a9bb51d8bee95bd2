/* int8 convolution of one output row on cores with the DSP extension: packed channel pairs (packed_pair.h), three pixels
   at a time and two at the end. The input's zero point is folded into the bias. */
#include "packed_pair_rows.h"
#include "packed_pair_windows.h"
#include "requantize.h"
#include "rows.h"

typedef struct {
  const int32_t *stream; /* [oc / 2] pairs; the last two channels once more where oc is odd */
  packed_pair_window_t window;
  int32_t units;  /* ceil(kh * kw * ic / 4), but at least 2 */
  int32_t direct; /* the words of a row of a window, to be widened where they lie; 0: whole windows are copied first */
  int32_t kh, ow, oc, lo, hi;
} conv_s8_dsp_t;

LILLIPUT_INLINE void *conv_s8_dsp_widen(void *to, const int8_t *const *x, int32_t n, int32_t units) {
  return n == 3 ? packed_pair_widen_three(to, x, units) : packed_pair_widen_two(to, x, units);
}

/* The windows of `n` pixels, the first one from column ix on, widened. Their bytes are collected behind the place of three
   wide ones. */
LILLIPUT_NOINLINE static void conv_s8_dsp_collect(const conv_s8_dsp_t *p, const void *const *rows, int32_t ix, int32_t n,
                                                  void *wide) {
  int8_t *spare = (int8_t *)wide + 24 * p->units;
  const int8_t *x[3] = {spare, spare, spare};
  for (int32_t i = 0; i < n; i++, ix += p->window.stride, spare += 4 * p->units) {
    x[i] = spare;
    packed_pair_copy(&p->window, rows, p->kh, ix, spare);
  }
  conv_s8_dsp_widen(wide, x, n, p->units);
}

/* The same where the rows of windows are whole words: row by row, those that reach beyond the input's are copied. */
LILLIPUT_NOINLINE static void conv_s8_dsp_outer(const conv_s8_dsp_t *p, const void *const *rows, int32_t ix, int32_t n,
                                                void *wide) {
  int8_t *const spare = (int8_t *)wide + 24 * p->units;
  for (int32_t ky = 0; ky < p->kh; ky++, rows++) {
    const int8_t *x[3];
    for (int32_t i = 0, at = ix; i < n; i++, at += p->window.stride) {
      if (packed_pair_inside(&p->window, at)) {
        x[i] = (const int8_t *)*rows + at * p->window.ic;
      } else {
        x[i] = spare + 4 * i * p->direct;
        packed_pair_border(&p->window, rows, 1, at, spare + 4 * i * p->direct);
      }
    }
    wide = conv_s8_dsp_widen(wide, x, n, p->direct);
  }
}

/* The same where none does. */
LILLIPUT_NOINLINE static void conv_s8_dsp_inner(const conv_s8_dsp_t *p, const void *const *rows, int32_t ix, int32_t n,
                                                void *wide) {
  const int32_t step = p->window.stride * p->window.ic;
  for (int32_t ky = 0; ky < p->kh; ky++) {
    const int8_t *const x0 = (const int8_t *)rows[ky] + ix * p->window.ic;
    const int8_t *const x[3] = {x0, x0 + step, n == 3 ? x0 + 2 * step : x0};
    wide = conv_s8_dsp_widen(wide, x, n, p->direct);
  }
}

/* All channels of `n` pixels. */
LILLIPUT_INLINE void conv_s8_dsp_block(const conv_s8_dsp_t *p, const void *wide, int32_t n, int8_t *y) {
  const int32_t oc = p->oc;
  const int32_t *last = p->stream;
  if (n == 3) {
    last = packed_pair_three(wide, last, y, oc >> 1, oc, p->units);
    if (oc & 1) packed_pair_three(wide, last, y + oc - 2, 1, oc, p->units);
  } else {
    last = packed_pair_two(wide, last, y, oc >> 1, oc, p->units);
    if (oc & 1) packed_pair_two(wide, last, y + oc - 2, 1, oc, p->units);
  }
}

static void conv_s8_dsp(const void *params, const void *const *rows, void *out, void *scratch) {
  const conv_s8_dsp_t *p = params;
  const int32_t stride = p->window.stride, end = p->window.iw - p->window.span;
  int8_t *y = out;
  int32_t ix = -p->window.pad;
  for (int32_t left = p->ow; left > 0;) {
    const int32_t n = left == 2 || left == 4 ? 2 : 3;
    if (p->direct == 0) conv_s8_dsp_collect(p, rows, ix, n, scratch);
    else if (ix < 0 || ix + (n - 1) * stride > end) conv_s8_dsp_outer(p, rows, ix, n, scratch);
    else conv_s8_dsp_inner(p, rows, ix, n, scratch);
    conv_s8_dsp_block(p, scratch, n, y);
    left -= n;
    ix += n * stride;
    y += n * p->oc;
  }
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(out, p->ow * p->oc, p->lo, p->hi);
}
