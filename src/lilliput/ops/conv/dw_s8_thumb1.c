/* int8 depthwise convolution of one output row on Armv6-M, windows of 3x3 a column apart: see thumb1_depthwise.h.
   SIGNS is `bent` where negative accumulators do not all clamp. */
#include "thumb1_depthwise.h"

typedef thumb1_depthwise_t KERNEL_t;

LILLIPUT_NAKED static void KERNEL_row(const void *const *rows LILLIPUT_UNUSED,
                                                              const void *params LILLIPUT_UNUSED,
                                                              void *y LILLIPUT_UNUSED) {
  __asm__(THUMB1_DW_ENTER "1:\n" THUMB1_DW_CHANNEL(SIGNS)
          "2:\n" /* columns before the first result is complete */
          "mov r9, r10\n" THUMB1_DW_TWO("r0", "0", "4") THUMB1_DW_TWO("r1", "12", "16")
              THUMB1_DW_TWO("r2", "24", "28") THUMB1_DW_MOVE_ON
          "ldr r5, " THUMB1_DW_FIRST "\n"
          "cmp r3, r5\n"
          "bne 2b\n"
          "b 5f\n"
          "3:\n"
          "mov r9, r10\n" THUMB1_DW_THREE("r0", "0", "4", "8") THUMB1_DW_THREE("r1", "12", "16", "20")
              THUMB1_DW_THREE("r2", "24", "28", "32")
          "4:\n" THUMB1_DW_FINISH(SIGNS)
          "strb r7, [r6, r3]\n" THUMB1_DW_MOVE_ON
          "5:\n"
          "cmp r3, r12\n"
          "blo 3b\n"
          "bhi 6f\n"
          "ldr r5, " THUMB1_DW_RIGHT "\n"
          "cmp r5, #0\n"
          "beq 6f\n"
          "ldr r5, " THUMB1_DW_OUTSIDE "\n"
          "adds r7, r7, r5\n"
          "b 4b\n"
          "6:\n" THUMB1_DW_LEAVE);
}

static void KERNEL(const void *params, const void *const *rows, void *y, void *scratch) {
  (void)scratch;
  KERNEL_row(rows, params, y);
}
