/* int8: maxpool with MVE, sixteen channels at a time. */
#include <arm_mve.h>
#include "loops.h"
#include "rows.h"

typedef struct {
  int32_t iw, channels, ow, kh, kw, stride, pad, lo, hi, dilation;
} maxpool_s8_mve_t;

static void maxpool_s8_mve(const void *params, const void *const *rows, void *out, void *scratch) {
  const maxpool_s8_mve_t *p = params;
  const int8x16_t lo = vdupq_n_s8((int8_t)p->lo), hi = vdupq_n_s8((int8_t)p->hi);
  int8_t *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++, y += p->channels) {
    const int32_t left = ox * p->stride - p->pad;
    const int32_t before = left < 0 ? (-left + p->dilation - 1) / p->dilation : 0; /* taps outside the row */
    const int32_t first = left + before * p->dilation, step = p->dilation * p->channels;
    const int32_t end = min_i32(left + p->kw * p->dilation, p->iw);
    for (int32_t c = 0; c < p->channels; c += 16) {
      const mve_pred16_t some = vctp8q((uint32_t)(p->channels - c));
      int8x16_t most = lo;
      LILLIPUT_ROLLED for (int32_t ky = 0; ky < p->kh; ky++) {
        if (rows[ky] == NULL) continue;
        const int8_t *x = (const int8_t *)rows[ky] + first * p->channels + c;
        LILLIPUT_ROLLED for (int32_t ix = first; ix < end; ix += p->dilation, x += step) {
          most = vmaxq_s8(most, vldrbq_z_s8(x, some));
        }
      }
      vstrbq_p_s8(y + c, vminq_s8(most, hi), some);
    }
  }
}
