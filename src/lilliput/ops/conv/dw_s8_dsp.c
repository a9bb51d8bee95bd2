/* int8 depthwise convolution of one output row by windows of up to 3 x 3 on cores with the DSP extension
   (depthwise_dsp.h). Every channel shifts right (scale_right() of requantize.h, proved offline); the weights are
   doubled, so that SMMLAR of a sum needs no shift before it. */
#include "depthwise_dsp.h"

typedef depthwise_dsp_t dw_s8_dsp_t;

LILLIPUT_NAKED static void dw_s8_dsp_block(depthwise_dsp_part_t *part LILLIPUT_UNUSED) {
  __asm__ volatile(DEPTHWISE_DSP_SUMS DEPTHWISE_DSP_TWO("r0", "r1") DEPTHWISE_DSP_TWO("r2", "r3")
                       DEPTHWISE_DSP_RESULTS("136")::: "r0", "r1", "r2", "r3", "r12", "cc", "memory");
}

static void dw_s8_dsp(const void *params, const void *const *rows, void *out, void *scratch) {
  depthwise_dsp_row(dw_s8_dsp_block, params, rows, out, scratch);
}
