/* int8 convolution of one output row with weights of four bits, 4 channels x 2 pixels at a time: the weights of a tap are
   two bytes, taken apart in registers. */
#include "int4.h"
#include "interleaved.h"
#include "rows.h"

typedef two_pixels_t conv_s4_4x2_t; /* w: [oc / 4][taps][4], then [oc % 4][taps], each of which begins a byte */

LILLIPUT_NOINLINE static void conv_s4_4x2_gather(const conv_s4_4x2_t *p, const void *const *rows, int32_t ox,
                                                 int32_t apart, void *pairs) {
  interleaved_gather(p, rows, ox, apart, pairs);
}

/* All channels of two pixels. */
LILLIPUT_NOINLINE static void conv_s4_4x2_block(const conv_s4_4x2_t *p, const void *pairs, int32_t taps, int8_t *y0,
                                                int8_t *y1) {
  const uint8_t *w = (const uint8_t *)p->w;
  const int32_t *q = p->q, z = p->two_zp_1;
  int32_t left = p->oc;
  for (; left >= 4; left -= 4, q += 9, y0 += 4, y1 += 4) {
    int32_t a0 = q[0], a1 = q[1], a2 = q[2], a3 = q[3];
    int32_t b0 = a0, b1 = a1, b2 = a2, b3 = a3;
    const int8_t *x = pairs;
    for (int32_t k = taps; k > 0; k--, x += 2, w += 2) {
      const uint32_t both = (uint32_t)w[0] | (uint32_t)w[1] << 8;
      const int32_t w0 = low_int4(both), w1 = low_int4(both >> 4), w2 = low_int4(both >> 8), w3 = low_int4(both >> 12);
      a0 += x[0] * w0;
      b0 += x[1] * w0;
      a1 += x[0] * w1;
      b1 += x[1] * w1;
      a2 += x[0] * w2;
      b2 += x[1] * w2;
      a3 += x[0] * w3;
      b3 += x[1] * w3;
    }
    put_two_s8(y0, y1, a0, b0, q[4], q[8], z);
    put_two_s8(y0 + 1, y1 + 1, a1, b1, q[5], q[8] >> 8, z);
    put_two_s8(y0 + 2, y1 + 2, a2, b2, q[6], q[8] >> 16, z);
    put_two_s8(y0 + 3, y1 + 3, a3, b3, q[7], q[8] >> 24, z);
  }
  for (; left > 0; left--, q += 3, y0++, y1++, w += (taps + 1) >> 1) {
    int32_t a = q[0], b = a;
    const int8_t *x = pairs;
    LILLIPUT_ROLLED
    for (int32_t k = 0; k < taps; k++, x += 2) {
      a += x[0] * int4_at(w, k);
      b += x[1] * int4_at(w, k);
    }
    put_two_s8(y0, y1, a, b, q[1], q[2], z);
  }
}

static void conv_s4_4x2(const void *params, const void *const *rows, void *out, void *scratch) {
  two_pixels_row(conv_s4_4x2_gather, conv_s4_4x2_block, params, rows, out, scratch);
}
