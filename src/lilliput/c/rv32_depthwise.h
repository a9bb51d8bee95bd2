/* Depthwise 3x3 windows of one output row on RV32IM, channel by channel: its nine weights stay in registers, and so do
   the sums of the three outputs that a column of the input belongs to, so that each input is loaded once. Assembly, for
   that takes all registers that code may use. The requantization is that of rv32_requantize.h. */
#ifndef LILLIPUT_RV32_DEPTHWISE_H
#define LILLIPUT_RV32_DEPTHWISE_H
#include "base.h"
#include "rv32_frame.h"
#include "rv32_requantize.h"

typedef struct {
  const int8_t *row[3];
  int8_t *y;
  const int32_t *q, *q_end;      /* [channels]{bias, mult, nine weights and a shift in bytes, two bytes left free} */
  int32_t pitch;                 /* channels, from pixel to pixel */
  int32_t inner;                 /* pitch * outputs whose last column lies inside the row */
  int32_t left, right, stride_2; /* whether a column of padding lies before and behind the row; stride 2, else 1 */
  int32_t back, y_back;          /* from behind a row to the next channel of its first pixel */
  int32_t in_zp, two_lo_z_1, lo_hi, hi; /* as in rv32_block_t */
} rv32_depthwise_t;

/* The body of a function that computes all channels of a row; row, y and q are used up. */
#define RV32_DEPTHWISE(HALVES) RV32_DEPTHWISE_OF(HALVES)
#define RV32_DEPTHWISE_OF(SIGN, ONE) \
  ".macro rv32_next x\n" \
  " lb t2, (\\x)\n" \
  " add \\x, \\x, a4\n" \
  ".endm\n" \
  ".macro rv32_add sum, w\n" \
  " mul t1, t2, \\w\n" \
  " add \\sum, \\sum, t1\n" \
  ".endm\n" \
  /* a column of the input: to the sums of which it is the last, the middle and the first one */ \
  ".macro rv32_column last, middle, first\n" \
  " rv32_next a1\n" \
  " rv32_add \\last, s2\n" \
  " rv32_add \\middle, s1\n" \
  " mul \\first, t2, s0\n" \
  " add \\first, \\first, a6\n" \
  " rv32_next a2\n" \
  " rv32_add \\last, s5\n" \
  " rv32_add \\middle, s4\n" \
  " rv32_add \\first, s3\n" \
  " rv32_next a3\n" \
  " rv32_add \\last, s8\n" \
  " rv32_add \\middle, s7\n" \
  " rv32_add \\first, s6\n" \
  ".endm\n" \
  /* one that belongs to a single sum, or to it and to one of which it is the first */ \
  ".macro rv32_one_column sum, u, v, w\n" \
  " rv32_next a1\n" \
  " rv32_add \\sum, \\u\n" \
  " rv32_next a2\n" \
  " rv32_add \\sum, \\v\n" \
  " rv32_next a3\n" \
  " rv32_add \\sum, \\w\n" \
  ".endm\n" \
  ".macro rv32_shared_column sum, u, v, w, first\n" \
  " rv32_next a1\n" \
  " rv32_add \\sum, \\u\n" \
  " mul \\first, t2, s0\n" \
  " add \\first, \\first, a6\n" \
  " rv32_next a2\n" \
  " rv32_add \\sum, \\v\n" \
  " rv32_add \\first, s3\n" \
  " rv32_next a3\n" \
  " rv32_add \\sum, \\w\n" \
  " rv32_add \\first, s6\n" \
  ".endm\n" \
  ".macro rv32_padding sum, u, v, w\n" \
  " lw t1, 52(a0)\n" \
  " add t2, \\u, \\v\n" \
  " add t2, t2, \\w\n" \
  " mul t2, t2, t1\n" \
  " add \\sum, \\sum, t2\n" \
  ".endm\n" \
  RV32_SCALE(SIGN) \
  ".macro rv32_put sum\n" \
  " slli \\sum, \\sum, 2\n" \
  " rv32_scale \\sum, a7, t3, t4, t5\n" \
  " sb \\sum, (a5)\n" \
  " add a5, a5, a4\n" \
  ".endm\n" \
  "addi sp, sp, -64\n" \
  RV32_REGISTERS("sw") \
  "lw a1, 0(a0)\n" \
  "lw a2, 4(a0)\n" \
  "lw a3, 8(a0)\n" \
  "lw a5, 12(a0)\n" \
  "lw ra, 16(a0)\n" \
  "lw a4, 24(a0)\n" \
  "lw t4, 60(a0)\n" \
  "lw t5, 64(a0)\n" \
  "1:\n" /* a channel */ \
  "lw a6, 0(ra)\n" \
  "lw a7, 4(ra)\n" \
  "lb s0, 8(ra)\n" \
  "lb s1, 9(ra)\n" \
  "lb s2, 10(ra)\n" \
  "lb s3, 11(ra)\n" \
  "lb s4, 12(ra)\n" \
  "lb s5, 13(ra)\n" \
  "lb s6, 14(ra)\n" \
  "lb s7, 15(ra)\n" \
  "lb s8, 16(ra)\n" \
  "lb t3, 17(ra)\n" \
  "lw t0, 56(a0)\n" \
  "sll t0, t0, t3\n" \
  "addi t0, t0, " ONE "\n" \
  "addi t3, t3, 1\n" \
  "lw t6, 28(a0)\n" \
  "add t6, t6, a5\n" \
  "mv s9, a6\n" \
  "lw t2, 32(a0)\n" \
  "beqz t2, 2f\n" \
  "rv32_padding s9, s0, s3, s6\n" \
  "j 3f\n" \
  "2:\n" \
  "rv32_one_column s9, s0, s3, s6\n" \
  "3:\n" \
  "lw t2, 40(a0)\n" \
  "bnez t2, 9f\n" \
  "rv32_shared_column s9, s1, s4, s7, s10\n" \
  "beq a5, t6, 7f\n" \
  "4:\n" /* stride 1: a column of three outputs, the first of which is complete */ \
  "rv32_column s9, s10, s11\n" \
  "rv32_put s9\n" \
  "beq a5, t6, 5f\n" \
  "rv32_column s10, s11, s9\n" \
  "rv32_put s10\n" \
  "beq a5, t6, 6f\n" \
  "rv32_column s11, s9, s10\n" \
  "rv32_put s11\n" \
  "bne a5, t6, 4b\n" \
  "j 7f\n" \
  "5:\n" \
  "mv s9, s10\n" \
  "j 7f\n" \
  "6:\n" \
  "mv s9, s11\n" \
  "7:\n" \
  "lw t2, 36(a0)\n" \
  "beqz t2, 8f\n" \
  "rv32_padding s9, s2, s5, s8\n" \
  "rv32_put s9\n" \
  "8:\n" /* the next channel */ \
  "lw t2, 44(a0)\n" \
  "lw t1, 48(a0)\n" \
  "sub a1, a1, t2\n" \
  "sub a2, a2, t2\n" \
  "sub a3, a3, t2\n" \
  "sub a5, a5, t1\n" \
  "addi ra, ra, 20\n" \
  "lw t2, 20(a0)\n" \
  "bne ra, t2, 1b\n" \
  RV32_REGISTERS("lw") \
  "addi sp, sp, 64\n" \
  "ret\n" \
  "9:\n" /* stride 2: a column of one output and one of two, the first of which is complete */ \
  "beq a5, t6, 11f\n" \
  "10:\n" \
  "rv32_one_column s9, s1, s4, s7\n" \
  "rv32_shared_column s9, s2, s5, s8, s10\n" \
  "rv32_put s9\n" \
  "mv s9, s10\n" \
  "bne a5, t6, 10b\n" \
  "11:\n" \
  "lw t2, 36(a0)\n" \
  "beqz t2, 8b\n" \
  "rv32_one_column s9, s1, s4, s7\n" \
  "rv32_padding s9, s2, s5, s8\n" \
  "rv32_put s9\n" \
  "j 8b\n" \
  ".purgem rv32_next\n" \
  ".purgem rv32_add\n" \
  ".purgem rv32_column\n" \
  ".purgem rv32_one_column\n" \
  ".purgem rv32_shared_column\n" \
  ".purgem rv32_padding\n" \
  ".purgem rv32_put\n" \
  ".purgem rv32_scale\n"

#endif
