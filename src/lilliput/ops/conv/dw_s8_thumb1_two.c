/* int8 depthwise convolution of one output row on Armv6-M, windows of 3x3 two columns apart: see thumb1_depthwise.h.
   SIGNS is `bent` where negative accumulators do not all clamp.
   A column is the middle of one window, or the right one of a window and the left one of the next. */
#include "thumb1_depthwise.h"

typedef thumb1_depthwise_t KERNEL_t;

LILLIPUT_NAKED static void KERNEL_row(const void *const *rows LILLIPUT_UNUSED,
                                                              const void *params LILLIPUT_UNUSED,
                                                              void *y LILLIPUT_UNUSED) {
  __asm__(THUMB1_DW_ENTER "1:\n" THUMB1_DW_CHANNEL(SIGNS)
          "ldr r4, " THUMB1_DW_RIGHT "\n" /* results are as far apart as columns; the last one's place ends the loop */
          "adds r4, r4, r6\n"
          "mov lr, r4\n"
          "mov r7, r8\n"
          "ldr r5, " THUMB1_DW_FIRST "\n"
          "cmp r5, #0\n"
          "beq 2f\n"
          "mov r7, r10\n" THUMB1_DW_ONE("r0", "0") THUMB1_DW_ONE("r1", "12")
              THUMB1_DW_ONE("r2", "24")
          "add r3, r11\n"
          "2:\n" THUMB1_DW_ONE("r0", "4") THUMB1_DW_ONE("r1", "16")
              THUMB1_DW_ONE("r2", "28")
          "add r3, r11\n"
          "cmp r3, r12\n"
          "beq 4f\n"
          "mov r8, r10\n" THUMB1_DW_BOTH("r0", "0", "8") THUMB1_DW_BOTH("r1", "12", "20")
              THUMB1_DW_BOTH("r2", "24", "32")
          "3:\n" THUMB1_DW_FINISH(SIGNS)
          "strb r7, [r6]\n"
          "mov r7, r8\n"
          "add r3, r11\n"
          "add r6, r11\n"
          "cmp r6, lr\n"
          "bne 2b\n"
          "b 5f\n"
          "4:\n"
          "ldr r5, " THUMB1_DW_OUTSIDE "\n"
          "adds r7, r7, r5\n"
          "b 3b\n"
          "5:\n" THUMB1_DW_LEAVE);
}

static void KERNEL(const void *params, const void *const *rows, void *y, void *scratch) {
  (void)scratch;
  KERNEL_row(rows, params, y);
}
