/* int8: the rounded mean of every window of one output row, of its part inside the input, on cores with the DSP
   extension. Four channels are summed at a time as int16, up to 255 pixels; where four does not divide the channels,
   the last block starts earlier. The division is that of avgpool_s8_mul.c. */
#include "bytes_dsp.h"
#include "loops.h"
#include "rows.h"

typedef struct {
  int32_t iw, channels, ow, kh, kw, stride, pad, lo, hi;
} avgpool_s8_dsp_t;

LILLIPUT_INLINE int8_t avgpool_s8_dsp_mean(const avgpool_s8_dsp_t *p, int32_t sum, uint32_t n, uint32_t reciprocal) {
  const int32_t sign = sum >> 31;
  const uint32_t size = (uint32_t)((sum ^ sign) - sign);
  const int32_t mean = (int32_t)(((size + n / 2u) * reciprocal) >> 24);
  return (int8_t)clamp_i32((mean ^ sign) - sign, p->lo, p->hi);
}

static void avgpool_s8_dsp(const void *params, const void *const *rows, void *out, void *scratch) {
  const avgpool_s8_dsp_t *p = params;
  const int32_t step = p->channels;
  int32_t height = 0;
  int8_t *y = out;
  (void)scratch;
  LILLIPUT_ROLLED for (int32_t ky = 0; ky < p->kh; ky++) height += rows[ky] != NULL ? 1 : 0;
  LILLIPUT_ROLLED for (int32_t ox = 0; ox < p->ow; ox++, y += step) {
    const int32_t left = ox * p->stride - p->pad;
    const int32_t from = max_i32(left, 0), width = min_i32(left + p->kw, p->iw) - from;
    const uint32_t n = (uint32_t)(height * width);
    const uint32_t reciprocal = ((uint32_t)1 << 24) / n + 1u;
    LILLIPUT_ROLLED for (int32_t c = 0; c < step; c += 4) {
      const int32_t first = min_i32(c, step - 4);
      const int32_t at = from * step + first;
      uint32_t even = 0, odd = 0;
      LILLIPUT_ROLLED for (int32_t ky = 0; ky < p->kh; ky++) {
        const int8_t *x = rows[ky];
        if (x == NULL) continue;
        x += at;
        int32_t left_over = width;
        LILLIPUT_ROLLED for (; left_over >= 4; left_over -= 4, x += 4 * step) {
          const uint32_t a = bytes_load(x), b = bytes_load(x + step), d = bytes_load(x + 2 * step);
          const uint32_t e = bytes_load(x + 3 * step);
          even = bytes_add_even(bytes_add_even(bytes_add_even(bytes_add_even(even, a), b), d), e);
          odd = bytes_add_odd(bytes_add_odd(bytes_add_odd(bytes_add_odd(odd, a), b), d), e);
        }
        LILLIPUT_ROLLED for (; left_over > 0; left_over--, x += step) {
          const uint32_t a = bytes_load(x);
          even = bytes_add_even(even, a);
          odd = bytes_add_odd(odd, a);
        }
      }
      y[first] = avgpool_s8_dsp_mean(p, (int16_t)even, n, reciprocal);
      y[first + 1] = avgpool_s8_dsp_mean(p, (int16_t)odd, n, reciprocal);
      y[first + 2] = avgpool_s8_dsp_mean(p, (int32_t)even >> 16, n, reciprocal);
      y[first + 3] = avgpool_s8_dsp_mean(p, (int32_t)odd >> 16, n, reciprocal);
    }
  }
}
