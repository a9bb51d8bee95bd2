/* Armv6-M: int8 depthwise convolution with windows of 3x3, channel after channel along a row. A column of the input
   adds to the sums of all results whose windows it is in; the nine weights of the channel lie on the stack as words,
   which load as fast as a register is copied. Columns outside the row hold zero points: their share of a sum is
   computed once per row.

   Each kernel is one function in assembly. In it r0, r1, r2 point to the rows, r3 is the byte offset of a column, r6
   the result, r7 the sum that is finished next, r8 and r9 those behind it, r10 what a sum starts with, r11 the bytes
   from column to column, r12 where the row ends. */
#ifndef LILLIPUT_THUMB1_DEPTHWISE_H
#define LILLIPUT_THUMB1_DEPTHWISE_H
#include "rows.h"

typedef struct {
  const uint32_t *w; /* [channel]{three rows of weights a << 24 | b << 16 | c << 8, a record as in thumb1.h} */
  int32_t step;      /* bytes from column to column */
  int32_t end;       /* of a row, in bytes */
  int32_t first;     /* the column where the kernel's loop begins, in bytes */
  int32_t right;     /* stride 1: whether the last window has a column outside the row; 2: bytes of the result */
  int32_t in_zp;
  int32_t y_offset; /* from the first result to where r6 points */
  int32_t channels;
} thumb1_depthwise_t;

/* The stack: nine weights, then these. */
#define THUMB1_DW_WIDTH "[sp, #36]"
#define THUMB1_DW_LOW "[sp, #40]"
#define THUMB1_DW_ZERO "[sp, #44]"
#define THUMB1_DW_BEND "[sp, #48]"
#define THUMB1_DW_HIGH "[sp, #52]"
#define THUMB1_DW_C "[sp, #56]"
#define THUMB1_DW_OUTSIDE "[sp, #60]" /* what a column right of the row adds to a sum */
#define THUMB1_DW_W "[sp, #64]"
#define THUMB1_DW_LEFT "[sp, #68]"
#define THUMB1_DW_FIRST "[sp, #72]"
#define THUMB1_DW_RIGHT "[sp, #76]"
#define THUMB1_DW_ZP "[sp, #80]"
#define THUMB1_DW_Y "[sp, #84]"

/* From (rows, parameters, y). */
#define THUMB1_DW_ENTER \
  ".syntax unified\n" \
  "push {r4-r7, lr}\n" \
  "mov r4, r8\n" \
  "mov r5, r9\n" \
  "mov r6, r10\n" \
  "mov r7, r11\n" \
  "push {r4-r7}\n" \
  "sub sp, #88\n" \
  "ldmia r1!, {r4-r7}\n" \
  "str r4, " THUMB1_DW_W "\n" \
  "mov r11, r5\n" \
  "mov r12, r6\n" \
  "str r7, " THUMB1_DW_FIRST "\n" \
  "ldmia r1!, {r4-r7}\n" \
  "str r4, " THUMB1_DW_RIGHT "\n" \
  "str r5, " THUMB1_DW_ZP "\n" \
  "adds r6, r6, r2\n" \
  "str r6, " THUMB1_DW_Y "\n" \
  "str r7, " THUMB1_DW_LEFT "\n" \
  "ldmia r0, {r0-r2}\n"

/* One row of weights from r7 to words at r6; r8 and r9 sum the first and the last column's with `add`. */
#define THUMB1_DW_UNPACK(add) \
  "ldmia r7!, {r5}\n" \
  "asrs r3, r5, #24\n" \
  "lsls r4, r5, #8\n" \
  "asrs r4, r4, #24\n" \
  "lsls r5, r5, #16\n" \
  "asrs r5, r5, #24\n" \
  "stmia r6!, {r3-r5}\n" add " r8, r3\n" add " r9, r5\n"

/* The next channel's constants. r8 = the first sum when the column left of the row has been added; r3 = 0. */
#define THUMB1_DW_CHANNEL(signs) \
  "ldr r7, " THUMB1_DW_W "\n" \
  "mov r6, sp\n" THUMB1_DW_UNPACK("mov") THUMB1_DW_UNPACK("add") THUMB1_DW_UNPACK("add") \
  "ldmia r7!, {r3, r4}\n" \
  "mov r10, r3\n" \
  "lsls r5, r4, #19\n" \
  "lsrs r5, r5, #19\n" \
  "lsrs r4, r4, #13\n" \
  "stmia r6!, {r4, r5}\n" THUMB1_DW_MORE_##signs \
  "ldmia r7!, {r4, r5}\n" \
  "stmia r6!, {r4, r5}\n" \
  "str r7, " THUMB1_DW_W "\n" \
  "ldr r5, " THUMB1_DW_ZP "\n" \
  "mov r4, r8\n" \
  "muls r4, r5, r4\n" \
  "adds r4, r4, r3\n" \
  "mov r8, r4\n" \
  "mov r4, r9\n" \
  "muls r4, r5, r4\n" \
  "str r4, " THUMB1_DW_OUTSIDE "\n" \
  "ldr r6, " THUMB1_DW_Y "\n" \
  "movs r3, #0\n"
#define THUMB1_DW_MORE_straight "adds r6, #8\n"
#define THUMB1_DW_MORE_bent \
  "ldmia r7!, {r4, r5}\n" \
  "stmia r6!, {r4, r5}\n"

/* Loads the column's value of a row; adds it, weighted by a word of the stack, to a sum. */
#define THUMB1_DW_LOAD(row) "ldrsb r4, [" row ", r3]\n"
#define THUMB1_DW_ADD(weight, sum) \
  "ldr r5, [sp, #" weight "]\n" \
  "muls r5, r4, r5\n" \
  "add " sum ", r5\n"

/* A row's share of a column. One column apart: it is the right one of a window, the middle of the next, the left of the
   third. */
#define THUMB1_DW_THREE(row, left, middle, right) \
  THUMB1_DW_LOAD(row) THUMB1_DW_ADD(right, "r7") THUMB1_DW_ADD(middle, "r8") THUMB1_DW_ADD(left, "r9")
#define THUMB1_DW_TWO(row, left, middle) \
  THUMB1_DW_LOAD(row) THUMB1_DW_ADD(middle, "r8") THUMB1_DW_ADD(left, "r9")
#define THUMB1_DW_MOVE_ON \
  "mov r7, r8\n" \
  "mov r8, r9\n" \
  "add r3, r11\n"
/* Two columns apart: it is in one window, or the right one of a window and the left one of the next. */
#define THUMB1_DW_ONE(row, weight) THUMB1_DW_LOAD(row) THUMB1_DW_ADD(weight, "r7")
#define THUMB1_DW_BOTH(row, left, right) THUMB1_DW_ONE(row, right) THUMB1_DW_ADD(left, "r8")

/* r7 = the result of the sum r7. */
#define THUMB1_DW_FINISH(signs) \
  "asrs r5, r7, #31\n" \
  "bics r7, r5\n" \
  "ldr r5, " THUMB1_DW_WIDTH "\n" \
  "subs r7, r5, r7\n" \
  "asrs r5, r7, #31\n" \
  "bics r7, r5\n" THUMB1_DW_BEND_##signs \
  "ldr r5, " THUMB1_DW_LOW "\n" \
  "muls r5, r7, r5\n" \
  "lsrs r5, r5, #13\n" THUMB1_DW_BENT_##signs \
  "ldr r4, " THUMB1_DW_HIGH "\n" \
  "muls r7, r4, r7\n" \
  "adds r7, r7, r5\n" \
  "ldr r5, " THUMB1_DW_C "\n" \
  "subs r7, r5, r7\n" \
  "asrs r7, r7, #24\n"
#define THUMB1_DW_BEND_straight
#define THUMB1_DW_BENT_straight
#define THUMB1_DW_BEND_bent \
  "ldr r5, " THUMB1_DW_ZERO "\n" \
  "subs r5, r5, r7\n" \
  "asrs r5, r5, #31\n" \
  "ldr r4, " THUMB1_DW_BEND "\n" \
  "ands r4, r5\n"
#define THUMB1_DW_BENT_bent "adds r5, r5, r4\n"

/* Back to label 1 for the next channel, then returns. */
#define THUMB1_DW_LEAVE \
  "adds r0, #1\n" \
  "adds r1, #1\n" \
  "adds r2, #1\n" \
  "ldr r5, " THUMB1_DW_Y "\n" \
  "adds r5, #1\n" \
  "str r5, " THUMB1_DW_Y "\n" \
  "ldr r5, " THUMB1_DW_LEFT "\n" \
  "subs r5, #1\n" \
  "str r5, " THUMB1_DW_LEFT "\n" \
  "beq 9f\n" \
  "b 1b\n" \
  "9:\n" \
  "add sp, #88\n" \
  "pop {r4-r7}\n" \
  "mov r8, r4\n" \
  "mov r9, r5\n" \
  "mov r10, r6\n" \
  "mov r11, r7\n" \
  "pop {r4-r7, pc}\n"

#endif
