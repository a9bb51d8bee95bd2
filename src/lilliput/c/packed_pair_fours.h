/* Two packed channel pairs (packed_pair.h) of one pixel at a time: linear layers, and windows as large as the input. */
#ifndef LILLIPUT_PACKED_PAIR_FOURS_H
#define LILLIPUT_PACKED_PAIR_FOURS_H
#include "loops.h"
#include "packed_pair.h"

/* Widen `units` words: the taps (0, 2), then (1, 3) of each. Gives the end. */
PACKED_PAIR_NAKED void *packed_pair_widen_one(void *to LILLIPUT_UNUSED, const int8_t *x LILLIPUT_UNUSED,
                                              int32_t units LILLIPUT_UNUSED) {
  __asm__(
      ".syntax unified\n"
      "1:\n"
      "ldr r12, [r1], #4\n"
      "subs r2, r2, #1\n"
      "sxtb16 r3, r12\n"
      "sxtb16 r12, r12, ror #8\n"
      "strd r3, r12, [r0], #8\n"
      "bne 1b\n"
      "bx lr\n");
}

/* Four taps of four channels of a pixel: 14 instructions for 16 products. */
#define PACKED_PAIR_FOUR_STEP(w0, w1, x)  \
  "smlad r9, " w0 ", " x ", r9\n"      \
  "smlad r11, " w1 ", " x ", r11\n"    \
  "sxtb16 " w0 ", " w0 "\n"            \
  "sxtb16 " w1 ", " w1 "\n"            \
  "smlad r8, " w0 ", " x ", r8\n"      \
  "smlad r10, " w1 ", " x ", r10\n"
#define PACKED_PAIR_FOUR_UNIT             \
  "ldm r1!, {r2-r5}\n"                 \
  "ldm r0!, {r6, r7}\n"                \
  PACKED_PAIR_FOUR_STEP("r2", "r3", "r6") \
  PACKED_PAIR_FOUR_STEP("r4", "r5", "r7")

/* A result that is rounded exactly. */
#define PACKED_PAIR_FOUR_EXACT(sum, twice) \
  "asr r4, r3, #16\n"                   \
  "lsl r4, r4, r3\n" PACKED_PAIR_EXACT(sum, twice, "[lr], #1")

/* Both results of a pair, whose constants come next. */
#define PACKED_PAIR_FOUR_RESULTS(a, m, exact, next)             \
  "ldm r1!, {r2-r5}\n"                                       \
  "sub " m ", " m ", " a "\n"                                \
  "cmp r2, #0\n"                                             \
  "blt " exact "f\n"                                         \
  PACKED_PAIR_LINE(a, "r2", "r3", "5", "[lr], #1")           \
  PACKED_PAIR_LINE(m, "r4", "r5", "13", "[lr], #1")          \
  next ":\n"
#define PACKED_PAIR_FOUR_EXACT_RESULTS(a, m, exact, next)       \
  exact ":\n"                                                \
  "bic r2, r2, #0x80000000\n"                                \
  PACKED_PAIR_FOUR_EXACT(a, "lsl " a ", " a ", #1")             \
  "ldrd r2, r3, [r1, #-8]\n"                                 \
  PACKED_PAIR_FOUR_EXACT(m, "asr " m ", " m ", #7")             \
  "b " next "b\n"

/* Fours of channels, whose results end at `end`; gives the end of the stream. On the stack: x, the units left over by four in
   the top bits, the end of y. */
PACKED_PAIR_NAKED const int32_t *packed_pair_fours(const void *x LILLIPUT_UNUSED,
                                                   const int32_t *stream LILLIPUT_UNUSED, int8_t *y LILLIPUT_UNUSED,
                                                   const int8_t *end LILLIPUT_UNUSED, int32_t units LILLIPUT_UNUSED) {
  __asm__(
      ".syntax unified\n"
      "push {r4-r11, lr}\n"
      "ldr r12, [sp, #36]\n"
      "mov lr, r2\n"
      "lsl r2, r12, #30\n"
      "push {r0, r2, r3}\n"
      "add r12, r0, r12, lsl #3\n"
      "9:\n"
      "lsls r2, r2, #1\n"
      "ldm r1!, {r8-r11}\n" PACKED_PAIR_ENTER
      "4:\n" PACKED_PAIR_FOUR_UNIT
      "3:\n" PACKED_PAIR_FOUR_UNIT
      "2:\n" PACKED_PAIR_FOUR_UNIT
      "1:\n" PACKED_PAIR_FOUR_UNIT
      "cmp r0, r12\n"
      "bne 4b\n"
      PACKED_PAIR_FOUR_RESULTS("r8", "r9", "7", "6")
      PACKED_PAIR_FOUR_RESULTS("r10", "r11", "8", "10")
      "ldm sp, {r0, r2, r3}\n"
      "cmp lr, r3\n"
      "bne 9b\n"
      "mov r0, r1\n"
      "add sp, sp, #12\n"
      "pop {r4-r11, pc}\n"
      PACKED_PAIR_FAR
      PACKED_PAIR_FOUR_EXACT_RESULTS("r8", "r9", "7", "6")
      PACKED_PAIR_FOUR_EXACT_RESULTS("r10", "r11", "8", "10"));
}

/* `oc` channels. The stream ends with a whole four, in which the last channel is repeated. */
LILLIPUT_INLINE void packed_pair_pixel(const void *x, const int32_t *stream, int8_t *y, int32_t oc, int32_t units) {
  const int32_t fours = oc & ~3;
  if (fours > 0) stream = packed_pair_fours(x, stream, y, y + fours, units);
  if (oc == fours) return;
  int8_t last[4];
  packed_pair_fours(x, stream, last, last + 4, units);
  LILLIPUT_ROLLED
  for (int32_t i = fours; i < oc; i++) y[i] = last[i - fours];
}

#endif
