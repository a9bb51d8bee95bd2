/* int8 depthwise 3x3 convolution of one output row on Armv7-M, one output per input channel; stride 1 or 2, at most one
   column of padding on either side. */
#include "arm_depthwise.h"
#include "rows.h"

typedef arm_depthwise_t dw_s8_thumb2_t;

LILLIPUT_NAKED static void dw_s8_thumb2_channels(arm_depthwise_row_t *row LILLIPUT_UNUSED) {
  __asm__(ARM_DEPTHWISE(" ssat lr, #8, lr\n"));
}

static void dw_s8_thumb2(const void *params, const void *const *rows, void *out, void *scratch) {
  (void)scratch;
  arm_depthwise(dw_s8_thumb2_channels, params, rows, out);
}
