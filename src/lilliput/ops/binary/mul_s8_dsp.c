/* int8 a * b as TFLM, same shapes, clamped to int8 only, on cores with the DSP extension. May run in place on either.
   Zero points are taken off two operands at a time, one of which is doubled, so that SMMLAR needs no shift before it
   (scale_right() of requantize.h, which the caller proved). */
#include "base.h"

typedef struct {
  int32_t n, a_less, b_less; /* minus the zero points, each as two int16 */
  int32_t mult, rounding, shift;
} mul_s8_dsp_t;

/* The result of a product that is doubled. */
#define MUL_S8_DSP_PUT(product, at)     \
  "smmlar r11, " product ", r7, r8\n"   \
  "add r11, r11, " product ", asr #31\n" \
  "asr r11, r11, r9\n"                  \
  "ssat r11, #8, r11\n"                 \
  "strb r11, " at "\n"

/* r4 what is left, r5-r9 the other parameters; four elements at a time, then one by one. */
LILLIPUT_NAKED static void mul_s8_dsp(const mul_s8_dsp_t *p LILLIPUT_UNUSED,
                                                        const int8_t *a LILLIPUT_UNUSED,
                                                        const int8_t *b LILLIPUT_UNUSED, int8_t *y LILLIPUT_UNUSED) {
  __asm__ volatile(
      ".syntax unified\n"
      "push {r4-r11, lr}\n"
      "ldm r0, {r4-r9}\n"
      "subs r4, r4, #4\n"
      "blt 2f\n"
      "1: ldr r10, [r1], #4\n"
      "ldr r11, [r2], #4\n"
      "sxtab16 r12, r5, r10\n"
      "sxtab16 lr, r6, r11\n"
      "sadd16 r12, r12, r12\n"
      "sxtab16 r10, r5, r10, ror #8\n"
      "sxtab16 r11, r6, r11, ror #8\n"
      "sadd16 r10, r10, r10\n"
      "smulbb r0, r12, lr\n"
      "smultt r12, r12, lr\n"
      "smulbb lr, r10, r11\n"
      "smultt r10, r10, r11\n" MUL_S8_DSP_PUT("lr", "[r3, #1]") MUL_S8_DSP_PUT("r12", "[r3, #2]")
          MUL_S8_DSP_PUT("r10", "[r3, #3]") MUL_S8_DSP_PUT("r0", "[r3], #4")
      "subs r4, r4, #4\n"
      "bge 1b\n"
      "2: adds r4, r4, #4\n"
      "beq 4f\n"
      "3: ldrsb r10, [r1], #1\n"
      "ldrsb r11, [r2], #1\n"
      "sxtab16 r10, r5, r10\n"
      "sxtab16 r11, r6, r11\n"
      "sadd16 r10, r10, r10\n"
      "smulbb r0, r10, r11\n" MUL_S8_DSP_PUT("r0", "[r3], #1")
      "subs r4, r4, #1\n"
      "bne 3b\n"
      "4: pop {r4-r11, pc}\n" ::
          : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
}
