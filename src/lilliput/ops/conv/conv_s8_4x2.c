/* int8 convolution of one output row without groups: 4 channels x 2 pixels at a time over a gathered window.
   The input's zero point is folded into the bias; every channel shifts right (proved offline). */
#include "rows.h"
#include "requantize.h"

typedef struct {
  const int8_t *w;       /* [oc / 4][taps][4], then [oc % 4][taps] */
  const int32_t *bias;   /* [oc], minus in_zp * sum(w) */
  const int32_t *mult;   /* [oc] */
  const uint8_t *shift;  /* [oc], to the right, at least 1 */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad, gather;
  int32_t in_zp, out_zp, lo, hi;
} conv_s8_4x2_t;

LILLIPUT_INLINE void conv_s8_4x2_put(const conv_s8_4x2_t *p, int32_t oc, int32_t acc, int8_t *y) {
  const int32_t v = scale_right(acc, p->mult[oc], p->shift[oc], 2 * p->out_zp + 1);
  y[oc] = (int8_t)clamp_i32(v, p->lo, p->hi);
}

/* Copy the window of output pixel `ox` to `to`, [kh][kw][ic], zero points outside. */
static void conv_s8_4x2_gather(const conv_s8_4x2_t *p, const void *const *rows, int32_t ox, int8_t *to) {
  for (int32_t ky = 0; ky < p->kh; ky++) {
    const int8_t *row = rows[ky];
    int32_t ix = ox * p->stride - p->pad;
    for (int32_t kx = 0; kx < p->kw; kx++, ix += p->dilation) {
      const int8_t *x = row + ix * p->ic;
      if (ix >= 0 && ix < p->iw) {
        for (int32_t c = 0; c < p->ic; c++) *to++ = x[c];
      } else {
        for (int32_t c = 0; c < p->ic; c++) *to++ = (int8_t)p->in_zp;
      }
    }
  }
}

/* All channels of two pixels. */
static void conv_s8_4x2_two(const conv_s8_4x2_t *p, int32_t taps, const int8_t *x0, const int8_t *x1, int8_t *y) {
  const int8_t *w = p->w;
  int8_t *y1 = y + p->oc;
  int32_t oc = 0;
  for (; oc + 4 <= p->oc; oc += 4) {
    int32_t a0 = p->bias[oc], a1 = p->bias[oc + 1], a2 = p->bias[oc + 2], a3 = p->bias[oc + 3];
    int32_t b0 = a0, b1 = a1, b2 = a2, b3 = a3;
    for (int32_t k = 0; k < taps; k++, w += 4) {
      const int32_t u = x0[k], v = x1[k];
      a0 += u * w[0];
      b0 += v * w[0];
      a1 += u * w[1];
      b1 += v * w[1];
      a2 += u * w[2];
      b2 += v * w[2];
      a3 += u * w[3];
      b3 += v * w[3];
    }
    conv_s8_4x2_put(p, oc, a0, y);
    conv_s8_4x2_put(p, oc + 1, a1, y);
    conv_s8_4x2_put(p, oc + 2, a2, y);
    conv_s8_4x2_put(p, oc + 3, a3, y);
    conv_s8_4x2_put(p, oc, b0, y1);
    conv_s8_4x2_put(p, oc + 1, b1, y1);
    conv_s8_4x2_put(p, oc + 2, b2, y1);
    conv_s8_4x2_put(p, oc + 3, b3, y1);
  }
  for (; oc < p->oc; oc++, w += taps) {
    int32_t a = p->bias[oc], b = a;
    for (int32_t k = 0; k < taps; k++) {
      a += x0[k] * w[k];
      b += x1[k] * w[k];
    }
    conv_s8_4x2_put(p, oc, a, y);
    conv_s8_4x2_put(p, oc, b, y1);
  }
}

/* All channels of one pixel: the last of an odd row, or a linear layer. */
static void conv_s8_4x2_one(const conv_s8_4x2_t *p, int32_t taps, const int8_t *x, int8_t *y) {
  const int8_t *w = p->w;
  int32_t oc = 0;
  for (; oc + 4 <= p->oc; oc += 4) {
    int32_t a0 = p->bias[oc], a1 = p->bias[oc + 1], a2 = p->bias[oc + 2], a3 = p->bias[oc + 3];
    for (int32_t k = 0; k < taps; k++, w += 4) {
      const int32_t u = x[k];
      a0 += u * w[0];
      a1 += u * w[1];
      a2 += u * w[2];
      a3 += u * w[3];
    }
    conv_s8_4x2_put(p, oc, a0, y);
    conv_s8_4x2_put(p, oc + 1, a1, y);
    conv_s8_4x2_put(p, oc + 2, a2, y);
    conv_s8_4x2_put(p, oc + 3, a3, y);
  }
  for (; oc < p->oc; oc++, w += taps) {
    int32_t a = p->bias[oc];
    for (int32_t k = 0; k < taps; k++) a += x[k] * w[k];
    conv_s8_4x2_put(p, oc, a, y);
  }
}

static void conv_s8_4x2(const void *params, const void *const *rows, void *out, void *scratch) {
  const conv_s8_4x2_t *p = params;
  const int32_t taps = p->kh * p->kw * p->ic;
  int8_t *y = out;
  int32_t ox = 0;
  for (; ox < p->ow; ox += 2, y += 2 * p->oc) {
    const int pair = ox + 1 < p->ow;
    const int8_t *x0, *x1;
    if (p->gather) {
      int8_t *window = scratch;
      conv_s8_4x2_gather(p, rows, ox, window);
      if (pair) conv_s8_4x2_gather(p, rows, ox + 1, window + taps);
      x0 = window;
      x1 = window + taps;
    } else {
      x0 = (const int8_t *)rows[0] + ox * p->stride * p->ic;
      x1 = x0 + p->stride * p->ic;
    }
    if (pair) {
      conv_s8_4x2_two(p, taps, x0, x1, y);
    } else {
      conv_s8_4x2_one(p, taps, x0, y);
    }
  }
}
