/* int8: avgpool_s8_mul with MVE, eight channels at a time. Their sums fit 16 bits up to 255 pixels. */
#include <arm_mve.h>
#include "loops.h"
#include "rows.h"

typedef struct {
  int32_t iw, channels, ow, kh, kw, stride, pad, lo, hi;
} avgpool_s8_mve_t;

/* |sum| / n rounded, with the sign of sum: four of them. */
LILLIPUT_INLINE int32x4_t avgpool_s8_mve_mean(int32x4_t sum, uint32_t half, uint32_t reciprocal) {
  const int32x4_t sign = vshrq_n_s32(sum, 31);
  const uint32x4_t size = vreinterpretq_u32_s32(vabsq_s32(sum));
  const uint32x4_t mean = vshrq_n_u32(vmulq_n_u32(vaddq_n_u32(size, half), reciprocal), 24);
  return vsubq_s32(veorq_s32(vreinterpretq_s32_u32(mean), sign), sign);
}

/* Eight channels of a window of the columns `from` to `to`. */
LILLIPUT_INLINE int16x8_t avgpool_s8_mve_sum(const avgpool_s8_mve_t *p, const void *const *rows, int32_t c, int32_t from,
                                             int32_t to, mve_pred16_t some) {
  int16x8_t sum = vdupq_n_s16(0);
  LILLIPUT_ROLLED for (int32_t ky = 0; ky < p->kh; ky++) {
    if (rows[ky] == NULL) continue;
    const int8_t *x = (const int8_t *)rows[ky] + from * p->channels + c;
    LILLIPUT_ROLLED for (int32_t n = to - from; n > 0; n--, x += p->channels) {
      sum = vaddq_s16(sum, vldrbq_z_s16(x, some));
    }
  }
  return sum;
}

static void avgpool_s8_mve(const void *params, const void *const *rows, void *out, void *scratch) {
  const avgpool_s8_mve_t *p = params;
  int32_t height = 0;
  int8_t *y = out;
  (void)scratch;
  for (int32_t ky = 0; ky < p->kh; ky++) height += rows[ky] != NULL ? 1 : 0;
  for (int32_t ox = 0; ox < p->ow; ox++, y += p->channels) {
    const int32_t left = ox * p->stride - p->pad;
    const int32_t from = max_i32(left, 0), to = min_i32(left + p->kw, p->iw);
    const uint32_t n = (uint32_t)(height * (to - from));
    const uint32_t reciprocal = ((uint32_t)1 << 24) / n + 1u;
    for (int32_t c = 0; c < p->channels; c += 8) {
      const mve_pred16_t some = vctp16q((uint32_t)(p->channels - c));
      const int16x8_t sum = avgpool_s8_mve_sum(p, rows, c, from, to, some);
      const int32x4_t even = avgpool_s8_mve_mean(vmovlbq_s16(sum), n / 2u, reciprocal);
      const int32x4_t odd = avgpool_s8_mve_mean(vmovltq_s16(sum), n / 2u, reciprocal);
      const int16x8_t mean = vmovntq_s32(vreinterpretq_s16_s32(even), odd);
      const int16x8_t most = vdupq_n_s16((int16_t)p->hi), least = vdupq_n_s16((int16_t)p->lo);
      vstrbq_p_s16(y + c, vminq_s16(vmaxq_s16(mean, least), most), some);
    }
  }
}
