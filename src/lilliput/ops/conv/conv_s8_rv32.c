/* int8 convolution of one output row on RV32IM, 4 channels x 4 pixels at a time: the windows of four pixels are
   gathered as words of two pixels, then all channels are computed from them. Where four does not divide the channels,
   the last block begins earlier and computes some of them again. HALVES says how results are
   rounded: halves_up or halves_away. */
#include "four_pixels.h"
#include "rows.h"
#include "rv32_block.h"

typedef struct {
  const int8_t *w;  /* [blocks][taps][4], the taps filled up to an even number with zeros */
  const int32_t *q; /* [blocks]{bias[4], mult[4], four shifts in a word} */
  four_pixels_t window;
  int32_t two_lo_z_1, lo_hi, hi;
} KERNEL_t;

LILLIPUT_INLINE int32_t KERNEL_join(int32_t first, int32_t second) { return first + second * 65536; }

LILLIPUT_NOINLINE static void KERNEL_gather(const four_pixels_t *p, const void *const *rows, int32_t ox,
                                                  int32_t *to) {
  four_pixels_gather(KERNEL_join, p, rows, ox, to);
}

LILLIPUT_NAKED static void KERNEL_blocks(rv32_block_t *block LILLIPUT_UNUSED) {
  __asm__(RV32_BLOCK(HALVES));
}

static void KERNEL(const void *params, const void *const *rows, void *out, void *scratch) {
  const KERNEL_t *p = params;
  const four_pixels_t *const window = &p->window;
  const int32_t words = 2 * ((window->kh * window->kw * window->ic + 1) & ~1), left = window->oc & 3;
  rv32_block_t block = {.x = scratch, .end = (const uint32_t *)scratch + words};
  block.two_lo_z_1 = p->two_lo_z_1;
  block.lo_hi = p->lo_hi;
  block.hi = p->hi;
  for (int32_t ox = 0; ox < window->ow; ox += 4) {
    KERNEL_gather(window, rows, ox, scratch);
    four_pixels_place(window, out, ox, block.y);
    block.w = p->w;
    block.q = p->q;
    block.blocks = window->oc >> 2;
    KERNEL_blocks(&block);
    if (left == 0) continue;
    block.blocks = 1;
    for (int32_t i = 0; i < 4; i++) block.y[i] -= 4 - left;
    KERNEL_blocks(&block);
  }
}
