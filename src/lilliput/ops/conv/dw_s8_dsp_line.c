/* int8 depthwise convolution of one output row by windows of up to 3 x 3 on cores with the DSP extension
   (depthwise_dsp.h). Bias and weights are multiplied by powers of two so that one right shift serves all channels:

     (doubling_high_mul(acc, m) + (2 z + 1) 2^(n - 1)) >> n
       = (SMMUL(2^(k + 1) acc, m) + 2^(k - 1) + (2 z + 1) 2^9) >> 10

   with n + k = 10, as floor((floor(v + 1/2) + i) / 2^n) = floor((v + 1/2 + i) / 2^n). This rounds halves up, TFLM away
   from zero: no difference where results below the zero point are cut off, as by a ReLU. Channels with n > 9 have
   smaller multipliers that were proved offline to give the same results. */
#include "depthwise_dsp.h"

typedef depthwise_dsp_t dw_s8_dsp_line_t;

/* Behind the weights: {multiplier, offset} of each channel. */
LILLIPUT_NAKED static void dw_s8_dsp_line_block(depthwise_dsp_part_t *part LILLIPUT_UNUSED) {
  __asm__ volatile(DEPTHWISE_DSP_SUMS
                   "ldm lr!, {r4-r11}\n"
                   "smmla r0, r0, r4, r5\n"
                   "smmla r1, r1, r6, r7\n"
                   "smmla r2, r2, r8, r9\n"
                   "smmla r3, r3, r10, r11\n"
                   "ssat r0, #8, r0, asr #10\n"
                   "ssat r1, #8, r1, asr #10\n"
                   "ssat r2, #8, r2, asr #10\n"
                   "ssat r3, #8, r3, asr #10\n" DEPTHWISE_DSP_RESULTS("120")::
                       : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
}

static void dw_s8_dsp_line(const void *params, const void *const *rows, void *out, void *scratch) {
  depthwise_dsp_row(dw_s8_dsp_line_block, params, rows, out, scratch);
}
