/* int16 convolution of one output row without groups, 4 channels of a pixel at a time; sums of type A, which none leaves
   (proved offline). Of 64 bits, they are added up in 32 as far as these reach: 256 products of at most 2^22. */
#include "loops.h"
#include "requantize.h"
#include "requantize_wide.h"
#include "rows.h"

typedef struct {
  const int8_t *w;  /* [oc / 4][taps][4], then [oc % 4][taps] */
  const int32_t *q; /* [oc / 4]{bias[4], mult[4], shift[4]}, then [oc % 4]{bias, mult, shift}; negative is right */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad, lo, hi;
} KERNEL_t;

/* Adds n products of four channels each; returns the weights that follow. */
LILLIPUT_INLINE const int8_t *KERNEL_add(const int16_t *x, const int8_t *w, int32_t n, A *sums) {
  for (int32_t left = n; left > 0;) {
    const int32_t some = sizeof(A) == 4 ? left : min_i32(left, 256);
    int32_t a0 = 0, a1 = 0, a2 = 0, a3 = 0;
    for (int32_t k = some; k > 0; k--, w += 4) {
      const int32_t v = *x++;
      a0 += v * w[0];
      a1 += v * w[1];
      a2 += v * w[2];
      a3 += v * w[3];
    }
    sums[0] += a0;
    sums[1] += a1;
    sums[2] += a2;
    sums[3] += a3;
    left -= some;
  }
  return w;
}

/* Four channels of the pixel whose window begins at column `ix0`; returns the weights of the next four. */
LILLIPUT_NOINLINE static const int8_t *KERNEL_four(const KERNEL_t *p, const void *const *rows, int32_t ix0,
                                                   const int8_t *w, const int32_t *q, int16_t *y) {
  A sums[4] = {q[0], q[1], q[2], q[3]};
  for (int32_t ky = 0; ky < p->kh; ky++) {
    const int16_t *row = rows[ky];
    for (int32_t kx = 0, ix = ix0; kx < p->kw; kx++, ix += p->dilation) {
      if (ix < 0 || ix >= p->iw) {
        w += 4 * p->ic;
        continue;
      }
      w = KERNEL_add(row + ix * p->ic, w, p->ic, sums);
    }
  }
  for (int32_t i = 0; i < 4; i++) y[i] = (int16_t)clamp_i32(SCALE(sums[i], q[4 + i], q[8 + i]), p->lo, p->hi);
  return w;
}

static void KERNEL(const void *params, const void *const *rows, void *out, void *scratch) {
  const KERNEL_t *p = params;
  int16_t *y = out;
  (void)scratch;
  for (int32_t ox = 0; ox < p->ow; ox++) {
    const int32_t ix0 = ox * p->stride - p->pad;
    const int8_t *w = p->w;
    const int32_t *q = p->q;
    int32_t left = p->oc;
    for (; left >= 4; left -= 4, q += 12, y += 4) w = KERNEL_four(p, rows, ix0, w, q, y);
    for (; left > 0; left--, q += 3, y++) {
      A a = q[0];
      for (int32_t ky = 0; ky < p->kh; ky++) {
        const int16_t *row = rows[ky];
        for (int32_t kx = 0, ix = ix0; kx < p->kw; kx++, ix += p->dilation, w += p->ic) {
          if (ix < 0 || ix >= p->iw) continue;
          const int16_t *x = row + ix * p->ic;
          LILLIPUT_ROLLED
          for (int32_t c = 0; c < p->ic; c++) a += x[c] * w[c];
        }
      }
      *y = (int16_t)clamp_i32(SCALE(a, q[1], q[2]), p->lo, p->hi);
    }
  }
}
