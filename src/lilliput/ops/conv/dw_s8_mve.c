/* int8 depthwise convolution of one output row by 3 x 3 windows with MVE (mve_depthwise.h). Every channel shifts right
   (proved offline). STEP is how many columns lie between two windows: step_1, step_2. ROUNDING: mve_rounding.h. */
#include "mve_depthwise.h"

typedef mve_depthwise_t KERNEL_t;

LILLIPUT_NAKED static void KERNEL_two(const mve_depthwise_part_t *part LILLIPUT_UNUSED) {
  MVE_DW_BLOCKS(TWO, STEP, ROUNDING);
}

LILLIPUT_NAKED static void KERNEL_one(const mve_depthwise_part_t *part LILLIPUT_UNUSED) {
  MVE_DW_BLOCKS(ONE, STEP, ROUNDING);
}

static void KERNEL(const void *params, const void *const *rows, void *out, void *scratch) {
  mve_depthwise_row(KERNEL_two, KERNEL_one, params, rows, out, scratch);
}
