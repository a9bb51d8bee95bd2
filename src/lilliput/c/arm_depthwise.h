/* Depthwise 3x3 windows of one output row on Arm cores, channel by channel: the sums of the three outputs that a column
   of the input belongs to stay in registers, so that each input is loaded once. Assembly, for both instruction sets, as
   that takes all registers. The requantization is scale_right's (requantize.h). */
#ifndef LILLIPUT_ARM_DEPTHWISE_H
#define LILLIPUT_ARM_DEPTHWISE_H
#include "requantize.h"

typedef struct {
  const int32_t *q; /* [channels]{bias, mult, nine weights and a shift in bytes, two bytes left free} */
  int32_t channels, ow, left, right, stride; /* left, right: columns of padding, 0 or 1; stride 1 or 2 */
  int32_t in_zp, two_zp_1, lo, hi;
} arm_depthwise_t;

typedef struct {
  const int8_t *row[3];
  int8_t *y;                     /* for stride 1 three columns before the first of its column's offset */
  const int32_t *q, *q_end;
  int32_t pitch;                 /* channels, from pixel to pixel */
  int32_t end;                   /* pitch * columns that are read before the padding on the right */
  int32_t left, right, stride_2;
  int32_t y_back;                /* for stride 2 from behind a row of results to its next channel, else -1 */
  int32_t in_zp, two_zp_1;
} arm_depthwise_row_t;

typedef void arm_depthwise_channels_t(arm_depthwise_row_t *row);

/* One output row, by the function of the core. */
LILLIPUT_INLINE void arm_depthwise(arm_depthwise_channels_t *channels, const arm_depthwise_t *p,
                                   const void *const *rows, int8_t *y) {
  const int32_t inner = p->ow - p->right, first = p->stride == 1 ? 3 - p->left : 0;
  const int32_t columns = p->stride == 1 ? inner + 2 - p->left : 2 * inner + 1 - p->left;
  arm_depthwise_row_t row = {
      .row = {rows[0], rows[1], rows[2]},
      .y = y - first * p->channels,
      .q = p->q,
      .q_end = p->q + 5 * p->channels,
      .pitch = p->channels,
      .end = columns * p->channels,
      .left = p->left,
      .right = p->right,
      .stride_2 = p->stride == 2,
      .y_back = (p->stride == 2 ? p->ow * p->channels : 0) - 1,
      .in_zp = p->in_zp,
      .two_zp_1 = p->two_zp_1,
  };
  channels(&row);
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(y, p->ow * p->channels, p->lo, p->hi);
}

/* The body of the function of a core; SATURATE makes lr an int8. Registers: r0 offset of the column, r1-r3 rows, r4 y,
   r5-r7 sums, r8 multiplier, r9 constants of the channel, r10 pitch, r11 end. On the stack: the row, and rounding. */
#define ARM_DEPTHWISE(SATURATE) \
  ".syntax unified\n" \
  ".macro depthwise_tap sum, w\n" \
  " ldrsb lr, [r9, #\\w]\n" \
  " mla \\sum, r12, lr, \\sum\n" \
  ".endm\n" \
  /* a column of which `last`, `middle` and `first` sum want the last, middle and first one */ \
  ".macro depthwise_row row, w, last, middle, first\n" \
  " ldrsb r12, [\\row, r0]\n" \
  " depthwise_tap \\last, \\w + 2\n" \
  " depthwise_tap \\middle, \\w + 1\n" \
  " depthwise_tap \\first, \\w\n" \
  ".endm\n" \
  ".macro depthwise_column last, middle, first\n" \
  " ldr \\first, [r9]\n" \
  " depthwise_row r1, 8, \\last, \\middle, \\first\n" \
  " depthwise_row r2, 11, \\last, \\middle, \\first\n" \
  " depthwise_row r3, 14, \\last, \\middle, \\first\n" \
  " add r0, r0, r10\n" \
  ".endm\n" \
  /* one that only one sum wants, or it and one as its first */ \
  ".macro depthwise_one row, w, sum\n" \
  " ldrsb r12, [\\row, r0]\n" \
  " depthwise_tap \\sum, \\w\n" \
  ".endm\n" \
  ".macro depthwise_one_column w, sum\n" \
  " depthwise_one r1, 8 + \\w, \\sum\n" \
  " depthwise_one r2, 11 + \\w, \\sum\n" \
  " depthwise_one r3, 14 + \\w, \\sum\n" \
  " add r0, r0, r10\n" \
  ".endm\n" \
  ".macro depthwise_two_columns w, sum, first\n" \
  " ldr \\first, [r9]\n" \
  " depthwise_one r1, 8 + \\w, \\sum\n" \
  " depthwise_tap \\first, 8\n" \
  " depthwise_one r2, 11 + \\w, \\sum\n" \
  " depthwise_tap \\first, 11\n" \
  " depthwise_one r3, 14 + \\w, \\sum\n" \
  " depthwise_tap \\first, 14\n" \
  " add r0, r0, r10\n" \
  ".endm\n" \
  ".macro depthwise_padding w\n" \
  " ldr lr, [sp]\n" \
  " ldr r12, [lr, #48]\n" \
  " depthwise_tap r5, 8 + \\w\n" \
  " depthwise_tap r5, 11 + \\w\n" \
  " depthwise_tap r5, 14 + \\w\n" \
  ".endm\n" \
  ".macro depthwise_scale sum\n" \
  " lsl \\sum, \\sum, #1\n" \
  " mov r12, #0x80000000\n" \
  " ldr lr, [sp, #4]\n" \
  " smlal r12, lr, r8, \\sum\n" \
  " add lr, lr, \\sum, asr #31\n" \
  " ldrb r12, [r9, #17]\n" \
  " asr lr, lr, r12\n" SATURATE \
  ".endm\n" \
  ".macro depthwise_put sum\n" \
  " depthwise_scale \\sum\n" \
  " strb lr, [r4, r0]\n" \
  " cmp r0, r11\n" \
  ".endm\n" \
  ".macro depthwise_field to, at\n" \
  " ldr \\to, [sp]\n" \
  " ldr \\to, [\\to, #\\at]\n" \
  ".endm\n" \
  "push {r4-r11, lr}\n" \
  "sub sp, sp, #8\n" \
  "str r0, [sp]\n" \
  "ldr r9, [r0, #16]\n" \
  "ldr r10, [r0, #24]\n" \
  "ldr r11, [r0, #28]\n" \
  "ldm r0, {r1, r2, r3, r4}\n" \
  "1:\n" /* a channel */ \
  "ldr r8, [r9, #4]\n" \
  "ldrb r12, [r9, #17]\n" \
  "depthwise_field lr, 52\n" \
  "sub r12, r12, #1\n" \
  "lsl lr, lr, r12\n" \
  "str lr, [sp, #4]\n" \
  "mov r0, #0\n" \
  "ldr r5, [r9]\n" \
  "depthwise_field r12, 32\n" \
  "cmp r12, #0\n" \
  "beq 2f\n" \
  "depthwise_padding 0\n" \
  "b 3f\n" \
  "2:\n" \
  "depthwise_one_column 0, r5\n" \
  "3:\n" \
  "depthwise_field r12, 40\n" \
  "cmp r12, #0\n" \
  "bne 9f\n" \
  "depthwise_two_columns 1, r5, r6\n" \
  "cmp r0, r11\n" \
  "beq 7f\n" \
  "4:\n" /* stride 1: a column of three outputs, the first of which is complete */ \
  "depthwise_column r5, r6, r7\n" \
  "depthwise_put r5\n" \
  "beq 5f\n" \
  "depthwise_column r6, r7, r5\n" \
  "depthwise_put r6\n" \
  "beq 6f\n" \
  "depthwise_column r7, r5, r6\n" \
  "depthwise_put r7\n" \
  "bne 4b\n" \
  "b 7f\n" \
  "5:\n" \
  "mov r5, r6\n" \
  "b 7f\n" \
  "6:\n" \
  "mov r5, r7\n" \
  "7:\n" \
  "depthwise_field r12, 36\n" \
  "cmp r12, #0\n" \
  "beq 8f\n" \
  "depthwise_padding 2\n" \
  "add r0, r0, r10\n" \
  "depthwise_put r5\n" \
  "8:\n" /* the next channel */ \
  "depthwise_field r12, 44\n" \
  "sub r4, r4, r12\n" \
  "add r1, r1, #1\n" \
  "add r2, r2, #1\n" \
  "add r3, r3, #1\n" \
  "add r9, r9, #20\n" \
  "depthwise_field r12, 20\n" \
  "cmp r9, r12\n" \
  "bne 1b\n" \
  "add sp, sp, #8\n" \
  "pop {r4-r11, pc}\n" \
  "9:\n" /* stride 2: a column of one output and one of two, the first of which is complete */ \
  "cmp r0, r11\n" \
  "beq 11f\n" \
  "10:\n" \
  "depthwise_one_column 1, r5\n" \
  "depthwise_two_columns 2, r5, r6\n" \
  "depthwise_scale r5\n" \
  "strb lr, [r4]\n" \
  "add r4, r4, r10\n" \
  "mov r5, r6\n" \
  "cmp r0, r11\n" \
  "bne 10b\n" \
  "11:\n" \
  "depthwise_field r12, 36\n" \
  "cmp r12, #0\n" \
  "beq 8b\n" \
  "depthwise_one_column 1, r5\n" \
  "depthwise_padding 2\n" \
  "depthwise_scale r5\n" \
  "strb lr, [r4]\n" \
  "add r4, r4, r10\n" \
  "b 8b\n"

#endif
