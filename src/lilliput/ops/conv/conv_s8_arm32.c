/* int8 convolution of one output row on Armv5TE, 2 channels x 4 pixels at a time: the windows of four pixels are
   gathered as words of two pixels, then all channels are computed from them. Of an odd number of channels, the last
   block begins one earlier and computes it again. */
#include "arm32_block.h"
#include "four_pixels.h"
#include "requantize.h"
#include "rows.h"

typedef struct {
  const int8_t *w;  /* [blocks][taps][2] */
  const int32_t *q; /* [blocks]{bias[2], mult[2], two shifts in a word} */
  four_pixels_t window;
  int32_t two_zp_1, lo, hi;
} conv_s8_arm32_t;

LILLIPUT_INLINE int32_t conv_s8_arm32_join(int32_t first, int32_t second) {
  return (int32_t)((uint32_t)second << 16 | (uint16_t)first);
}

LILLIPUT_NOINLINE static void conv_s8_arm32_gather(const four_pixels_t *p, const void *const *rows, int32_t ox,
                                                   int32_t *to) {
  four_pixels_gather(conv_s8_arm32_join, p, rows, ox, to);
}

static void conv_s8_arm32(const void *params, const void *const *rows, void *out, void *scratch) {
  const conv_s8_arm32_t *p = params;
  const four_pixels_t *const window = &p->window;
  const int32_t taps = window->kh * window->kw * window->ic;
  const int32_t *const x = scratch;
  arm32_block_t block = {.x = x, .end_4 = x + 2 * (taps & ~3), .end = x + 2 * taps};
  block.two_zp_1 = p->two_zp_1;
  for (int32_t ox = 0; ox < window->ow; ox += 4) {
    conv_s8_arm32_gather(window, rows, ox, scratch);
    four_pixels_place(window, out, ox, block.y);
    block.w = p->w;
    block.q = p->q;
    block.blocks = window->oc >> 1;
    arm32_block(&block);
    if ((window->oc & 1) == 0) continue;
    block.blocks = 1;
    for (int32_t i = 0; i < 4; i++) block.y[i]--;
    arm32_block(&block);
  }
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(out, window->ow * window->oc, p->lo, p->hi);
}
