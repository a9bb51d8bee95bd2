/* Blocks of three and of two pixels of packed channel pairs (packed_pair.h), and how pixels are widened for them. All
   registers but the stack pointer are in use, so that these are whole functions in assembly. */
#ifndef LILLIPUT_PACKED_PAIR_ROWS_H
#define LILLIPUT_PACKED_PAIR_ROWS_H
#include "packed_pair.h"

/* Widen `units` words of three runs of bytes: per unit {x0, x1, x2} of the taps (0, 2), then of (1, 3). Gives the end. */
PACKED_PAIR_NAKED void *packed_pair_widen_three(void *to LILLIPUT_UNUSED, const int8_t *const *x LILLIPUT_UNUSED,
                                                int32_t units LILLIPUT_UNUSED) {
  __asm__(
      ".syntax unified\n"
      "push {r4-r11, lr}\n"
      "mov r12, r2\n"
      "ldm r1, {r1-r3}\n"
      "1:\n"
      "ldr r10, [r1], #4\n"
      "ldr r11, [r2], #4\n"
      "ldr lr, [r3], #4\n"
      "sxtb16 r4, r10\n"
      "sxtb16 r5, r11\n"
      "sxtb16 r6, lr\n"
      "sxtb16 r7, r10, ror #8\n"
      "sxtb16 r8, r11, ror #8\n"
      "sxtb16 r9, lr, ror #8\n"
      "stm r0!, {r4-r9}\n"
      "subs r12, r12, #1\n"
      "bne 1b\n"
      "pop {r4-r11, pc}\n");
}

/* The same of two runs. */
PACKED_PAIR_NAKED void *packed_pair_widen_two(void *to LILLIPUT_UNUSED, const int8_t *const *x LILLIPUT_UNUSED,
                                              int32_t units LILLIPUT_UNUSED) {
  __asm__(
      ".syntax unified\n"
      "push {r4-r7}\n"
      "ldrd r1, r3, [r1]\n"
      "1:\n"
      "ldr r6, [r1], #4\n"
      "ldr r7, [r3], #4\n"
      "sxtb16 r4, r6\n"
      "sxtb16 r5, r7\n"
      "sxtb16 r6, r6, ror #8\n"
      "sxtb16 r7, r7, ror #8\n"
      "stm r0!, {r4-r7}\n"
      "subs r2, r2, #1\n"
      "bne 1b\n"
      "pop {r4-r7}\n"
      "bx lr\n");
}

/* On the stack of a block: x, the end of y, the units but one left over by four in the top bits, y, pitch. */
#define PACKED_PAIR_BEGIN(end)   \
  ".syntax unified\n"            \
  "push {r4-r11, lr}\n"          \
  "add r3, r2, r3, lsl #1\n"     \
  "mov r5, r2\n"                 \
  "ldr r6, [sp, #36]\n"          \
  "ldr " end ", [sp, #40]\n"     \
  "sub r4, " end ", #1\n"        \
  "lsl r4, r4, #30\n"            \
  "push {r0, r3-r6}\n"           \
  "mov r3, r4\n"
#define PACKED_PAIR_NEXT      \
  "str r6, [sp, #12]\n"      \
  "ldm sp, {r0, r2, r3}\n"   \
  "cmp r6, r2\n"             \
  "bne 9b\n"                 \
  "mov r0, r1\n"             \
  "add sp, sp, #20\n"        \
  "pop {r4-r11, pc}\n"

/* Two taps of a pair and three pixels, added to the sums `m` and `a`: 8.5 instructions for 12 products. */
#define PACKED_PAIR_STEP_THREE(w, m1, m2, a1, a2) \
  "ldm r0!, {r3-r5}\n"                           \
  "smlad r12, " w ", r4, " m1 "\n"               \
  "smlad lr, " w ", r5, " m2 "\n"                \
  "smlad r11, " w ", r3, r11\n"                  \
  "sxtb16 " w ", " w "\n"                        \
  "smlad r9, " w ", r4, " a1 "\n"                \
  "smlad r10, " w ", r5, " a2 "\n"               \
  "smlad r8, " w ", r3, r8\n"
#define PACKED_PAIR_UNIT_THREE                             \
  "ldm r1!, {r2, r6}\n"                                   \
  PACKED_PAIR_STEP_THREE("r2", "r12", "lr", "r9", "r10")   \
  PACKED_PAIR_STEP_THREE("r6", "r12", "lr", "r9", "r10")

/* `pairs` pairs of channels of three pixels, whose results lie `pitch` bytes apart; gives the end of the stream. There
   are at least two units. The first one starts the sums of all pixels from those of one. */
PACKED_PAIR_NAKED const int32_t *packed_pair_three(const void *x LILLIPUT_UNUSED,
                                                   const int32_t *stream LILLIPUT_UNUSED, int8_t *y LILLIPUT_UNUSED,
                                                   int32_t pairs LILLIPUT_UNUSED, int32_t pitch LILLIPUT_UNUSED,
                                                   int32_t units LILLIPUT_UNUSED) {
  __asm__(
      PACKED_PAIR_BEGIN("r7")
      "add r7, r7, r7, lsl #1\n"
      "add r7, r0, r7, lsl #3\n"
      "9:\n"
      "ldrd r8, r11, [r1], #8\n"
      "lsls r3, r3, #1\n"
      "ldm r1!, {r2, r6}\n"
      PACKED_PAIR_STEP_THREE("r2", "r11", "r11", "r8", "r8")
      PACKED_PAIR_STEP_THREE("r6", "r12", "lr", "r9", "r10")
      PACKED_PAIR_ENTER
      "4:\n" PACKED_PAIR_UNIT_THREE
      "3:\n" PACKED_PAIR_UNIT_THREE
      "2:\n" PACKED_PAIR_UNIT_THREE
      "1:\n" PACKED_PAIR_UNIT_THREE
      "cmp r0, r7\n"
      "bne 4b\n"
      "ldm r1!, {r2-r5}\n"
      "sub r11, r11, r8\n"
      "sub r12, r12, r9\n"
      "sub lr, lr, r10\n"
      "ldrd r6, r0, [sp, #12]\n"
      "cmp r2, #0\n"
      "blt 8f\n" /* rounded exactly */
      PACKED_PAIR_LINE("r9", "r2", "r3", "5", "[r6, r0]")
      PACKED_PAIR_LINE("r10", "r2", "r3", "5", "[r6, r0, lsl #1]")
      PACKED_PAIR_LINE("r8", "r2", "r3", "5", "[r6], #1")
      PACKED_PAIR_LINE("r12", "r4", "r5", "13", "[r6, r0]")
      PACKED_PAIR_LINE("lr", "r4", "r5", "13", "[r6, r0, lsl #1]")
      PACKED_PAIR_LINE("r11", "r4", "r5", "13", "[r6], #1")
      "6:\n"
      PACKED_PAIR_NEXT
      PACKED_PAIR_FAR
      "8:\n"
      "bic r2, r2, #0x80000000\n" PACKED_PAIR_ROUNDING
      PACKED_PAIR_EXACT_A("r9", "[r6, r0]")
      PACKED_PAIR_EXACT_A("r10", "[r6, r0, lsl #1]")
      PACKED_PAIR_EXACT_A("r8", "[r6], #1")
      "ldrd r2, r3, [r1, #-8]\n" PACKED_PAIR_ROUNDING
      PACKED_PAIR_EXACT_B("r12", "[r6, r0]")
      PACKED_PAIR_EXACT_B("lr", "[r6, r0, lsl #1]")
      PACKED_PAIR_EXACT_B("r11", "[r6], #1")
      "b 6b\n");
}

/* Two taps of a pair and two pixels, added to the sums `m1` and `a1`; four taps are 12 instructions for 16 products. */
#define PACKED_PAIR_STEP_TWO(w, x0, x1, m1, a1) \
  "smlad r11, " w ", " x1 ", " m1 "\n"         \
  "smlad r10, " w ", " x0 ", r10\n"            \
  "sxtb16 " w ", " w "\n"                      \
  "smlad r9, " w ", " x1 ", " a1 "\n"          \
  "smlad r8, " w ", " x0 ", r8\n"
#define PACKED_PAIR_UNIT_TWO(m1, a1)                \
  "ldm r1!, {r2, r3}\n"                            \
  "ldm r0!, {r4-r7}\n"                             \
  PACKED_PAIR_STEP_TWO("r2", "r4", "r5", m1, a1)    \
  PACKED_PAIR_STEP_TWO("r3", "r6", "r7", "r11", "r9")

/* The same for two pixels. */
PACKED_PAIR_NAKED const int32_t *packed_pair_two(const void *x LILLIPUT_UNUSED, const int32_t *stream LILLIPUT_UNUSED,
                                                 int8_t *y LILLIPUT_UNUSED, int32_t pairs LILLIPUT_UNUSED,
                                                 int32_t pitch LILLIPUT_UNUSED, int32_t units LILLIPUT_UNUSED) {
  __asm__(
      PACKED_PAIR_BEGIN("r12")
      "add r12, r0, r12, lsl #4\n"
      "9:\n"
      "ldrd r8, r10, [r1], #8\n"
      "lsls r3, r3, #1\n"
      PACKED_PAIR_UNIT_TWO("r10", "r8")
      PACKED_PAIR_ENTER
      "4:\n" PACKED_PAIR_UNIT_TWO("r11", "r9")
      "3:\n" PACKED_PAIR_UNIT_TWO("r11", "r9")
      "2:\n" PACKED_PAIR_UNIT_TWO("r11", "r9")
      "1:\n" PACKED_PAIR_UNIT_TWO("r11", "r9")
      "cmp r0, r12\n"
      "bne 4b\n"
      "ldm r1!, {r2-r5}\n"
      "sub r10, r10, r8\n"
      "sub r11, r11, r9\n"
      "ldrd r6, r0, [sp, #12]\n"
      "cmp r2, #0\n"
      "blt 8f\n" /* rounded exactly */
      PACKED_PAIR_LINE("r9", "r2", "r3", "5", "[r6, r0]")
      PACKED_PAIR_LINE("r8", "r2", "r3", "5", "[r6], #1")
      PACKED_PAIR_LINE("r11", "r4", "r5", "13", "[r6, r0]")
      PACKED_PAIR_LINE("r10", "r4", "r5", "13", "[r6], #1")
      "6:\n"
      PACKED_PAIR_NEXT
      PACKED_PAIR_FAR
      "8:\n"
      "bic r2, r2, #0x80000000\n" PACKED_PAIR_ROUNDING
      PACKED_PAIR_EXACT_A("r9", "[r6, r0]")
      PACKED_PAIR_EXACT_A("r8", "[r6], #1")
      "ldrd r2, r3, [r1, #-8]\n" PACKED_PAIR_ROUNDING
      PACKED_PAIR_EXACT_B("r11", "[r6, r0]")
      PACKED_PAIR_EXACT_B("r10", "[r6], #1")
      "b 6b\n");
}

#endif
