/* int8 convolution of one output row, 4 channels x 2 pixels at a time. The windows of two pixels are gathered
   interleaved, so that eight sums, two inputs, a weight and three pointers fit fourteen registers. */
#include "interleaved.h"
#include "rows.h"

typedef two_pixels_t conv_s8_4x2_t;

LILLIPUT_NOINLINE static void conv_s8_4x2_gather(const conv_s8_4x2_t *p, const void *const *rows, int32_t ox,
                                                 int32_t apart, void *pairs) {
  interleaved_gather(p, rows, ox, apart, pairs);
}

LILLIPUT_NOINLINE static void conv_s8_4x2_block(const conv_s8_4x2_t *p, const void *pairs, int32_t taps, int8_t *y0,
                                                int8_t *y1) {
  two_pixels_block(interleaved_take, 2 * (int32_t)sizeof(int8_t), p, pairs, taps, y0, y1);
}

static void conv_s8_4x2(const void *params, const void *const *rows, void *out, void *scratch) {
  two_pixels_row(conv_s8_4x2_gather, conv_s8_4x2_block, params, rows, out, scratch);
}
