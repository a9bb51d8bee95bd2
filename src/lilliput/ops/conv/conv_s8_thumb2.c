/* int8 convolution of one output row on Armv7-M, 4 channels x 2 pixels at a time, as conv_s8_4x2.c with the block in
   assembly. Where four does not divide the channels, the last block begins earlier and computes some of them again. */
#include "interleaved.h"
#include "rows.h"
#include "thumb2_block.h"

typedef two_pixels_t conv_s8_thumb2_t; /* w: [blocks][taps][4]; q: [blocks]{bias[4], mult[4], four shifts in a word} */

LILLIPUT_NOINLINE static void conv_s8_thumb2_gather(const conv_s8_thumb2_t *p, const void *const *rows, int32_t ox,
                                                    int32_t apart, void *pairs) {
  interleaved_gather(p, rows, ox, apart, pairs);
}

LILLIPUT_NOINLINE static void conv_s8_thumb2_channels(const conv_s8_thumb2_t *p, const void *pairs, int32_t taps,
                                                      int8_t *y0, int8_t *y1) {
  const int8_t *const x = pairs;
  const int32_t left = p->oc & 3;
  thumb2_block_t block = {.y = {y0, y1}, .w = p->w, .q = p->q, .x = x, .end_4 = x + 2 * (taps & ~3)};
  block.end = x + 2 * taps;
  block.blocks = p->oc >> 2;
  block.two_zp_1 = p->two_zp_1;
  thumb2_block(&block);
  if (left == 0) return;
  block.blocks = 1;
  block.y[0] -= 4 - left;
  block.y[1] -= 4 - left;
  thumb2_block(&block);
}

static void conv_s8_thumb2(const void *params, const void *const *rows, void *out, void *scratch) {
  two_pixels_row(conv_s8_thumb2_gather, conv_s8_thumb2_channels, params, rows, out, scratch);
}
