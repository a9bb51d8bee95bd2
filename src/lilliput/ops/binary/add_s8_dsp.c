/* int8 a + b or a - b as TFLM, same shapes, on cores with the DSP extension. May run in place on either.
   TFLM's three roundings make one step function of two int8 numbers. The caller found a plane that has the same steps,
   by trying all 65,536 pairs: saturate((a_mult a / 2^8 + b_mult b / 2^8 + offset) / 2^21), each division rounded down.
   A multiplier takes a halfword 2^8 a, of which SMLAW leaves out the lower 16 bits of the product. */
#include "base.h"

typedef struct {
  int32_t n, a_mult, b_mult, offset;
} add_s8_dsp_t;

/* r4 what is left, r5-r7 the plane, r8 a mask; four elements at a time, then one by one. */
LILLIPUT_NAKED static void add_s8_dsp(const add_s8_dsp_t *p LILLIPUT_UNUSED,
                                                        const int8_t *a LILLIPUT_UNUSED,
                                                        const int8_t *b LILLIPUT_UNUSED, int8_t *y LILLIPUT_UNUSED) {
  __asm__ volatile(
      ".syntax unified\n"
      "push {r4-r11, lr}\n"
      "ldm r0, {r4-r7}\n"
      "mov r8, #0xff00ff00\n"
      "subs r4, r4, #4\n"
      "blt 2f\n"
      "1: ldr r9, [r1], #4\n"
      "ldr r10, [r2], #4\n"
      "and r11, r8, r9, lsl #8\n"
      "and r12, r8, r10, lsl #8\n"
      "smlawb lr, r5, r11, r7\n"
      "smlawt r11, r5, r11, r7\n"
      "smlawb lr, r6, r12, lr\n"
      "smlawt r11, r6, r12, r11\n"
      "and r9, r9, r8\n"
      "and r10, r10, r8\n"
      "smlawb r12, r5, r9, r7\n"
      "smlawt r9, r5, r9, r7\n"
      "smlawb r12, r6, r10, r12\n"
      "smlawt r9, r6, r10, r9\n"
      "ssat lr, #8, lr, asr #21\n"
      "ssat r12, #8, r12, asr #21\n"
      "ssat r11, #8, r11, asr #21\n"
      "ssat r9, #8, r9, asr #21\n"
      "strb r12, [r3, #1]\n"
      "strb r11, [r3, #2]\n"
      "strb r9, [r3, #3]\n"
      "strb lr, [r3], #4\n"
      "subs r4, r4, #4\n"
      "bge 1b\n"
      "2: adds r4, r4, #4\n"
      "beq 4f\n"
      "3: ldrsb r9, [r1], #1\n"
      "ldrsb r10, [r2], #1\n"
      "lsl r9, r9, #8\n"
      "lsl r10, r10, #8\n"
      "smlawb r9, r5, r9, r7\n"
      "smlawb r9, r6, r10, r9\n"
      "ssat r9, #8, r9, asr #21\n"
      "strb r9, [r3], #1\n"
      "subs r4, r4, #1\n"
      "bne 3b\n"
      "4: pop {r4-r11, pc}\n" ::
          : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
}
