/* 4 channels x 4 pixels of an int8 convolution on RV32IM, two pixels in a word: one MUL gives two products. Assembly,
   for the sums, operands and pointers take all 28 registers that code may use, and compilers spill.

   X = x0 + 2^16 x1, so X w = x0 w + 2^16 x1 w. The sum p of two such products keeps its lower half within int16
   (proved offline: |w| + |w'| < 256), so (p + 2^15) >> 16 is the upper one. S sums p modulo 2^32, T the upper halves;
   in the end T is the second pixel's accumulator and S - 2^16 T the first one's.

   The requantization is that of rv32_requantize.h. */
#ifndef LILLIPUT_RV32_BLOCK_H
#define LILLIPUT_RV32_BLOCK_H
#include "base.h"
#include "rv32_frame.h"
#include "rv32_requantize.h"

typedef struct {
  int8_t *y[4];                     /* where the next channels of each pixel go */
  const int8_t *w;                  /* [blocks][taps][4] */
  const int32_t *q;                 /* [blocks]{bias[4], mult[4], four shifts in a word} */
  const uint32_t *x, *end;          /* [taps][2], an even number of taps */
  int32_t blocks;                   /* fours of channels */
  int32_t two_lo_z_1, lo_hi, hi;    /* 2 (lo - z) + 1, lo - hi, hi */
} rv32_block_t;

/* The body of a function that computes all blocks; y, w, q and blocks are used up. */
#define RV32_BLOCK(HALVES) RV32_BLOCK_OF(HALVES)
#define RV32_BLOCK_OF(SIGN, ONE) \
  /* taps t1 and t2 of a pair of pixels in \x0 and \x1 */ \
  ".macro rv32_pair s, t, x0, x1\n" \
  " mul a1, \\x0, t1\n" \
  " mul a7, \\x1, t2\n" \
  " add a1, a1, a7\n" \
  " add \\s, \\s, a1\n" \
  " add a1, a1, t0\n" \
  " srai a1, a1, 16\n" \
  " add \\t, \\t, a1\n" \
  ".endm\n" \
  ".macro rv32_channel w, s0, s1, s2, s3\n" \
  " lb t1, \\w(a6)\n" \
  " lb t2, \\w + 4(a6)\n" \
  " rv32_pair \\s0, \\s1, a2, a4\n" \
  " rv32_pair \\s2, \\s3, a3, a5\n" \
  ".endm\n" \
  ".macro rv32_two_taps x, w\n" \
  " lw a2, \\x(a0)\n" \
  " lw a3, \\x + 4(a0)\n" \
  " lw a4, \\x + 8(a0)\n" \
  " lw a5, \\x + 12(a0)\n" \
  " rv32_channel \\w, s0, s1, s2, s3\n" \
  " rv32_channel \\w + 1, s4, s5, s6, s7\n" \
  " rv32_channel \\w + 2, s8, s9, s10, s11\n" \
  " rv32_channel \\w + 3, t3, t4, t5, t6\n" \
  ".endm\n" \
  /* the sums of a channel begin with its bias */ \
  ".macro rv32_begin bias, s0, s1, s2, s3\n" \
  " lw \\s1, \\bias(a1)\n" \
  " slli \\s0, \\s1, 16\n" \
  " add \\s0, \\s0, \\s1\n" \
  " mv \\s2, \\s0\n" \
  " mv \\s3, \\s1\n" \
  ".endm\n" \
  /* sums -> four times the accumulators of a pair */ \
  ".macro rv32_split s, t\n" \
  " slli t1, \\t, 18\n" \
  " slli \\s, \\s, 2\n" \
  " sub \\s, \\s, t1\n" \
  " slli \\t, \\t, 2\n" \
  ".endm\n" \
  RV32_SCALE(SIGN) \
  ".macro rv32_finish m, n, s0, s1, s2, s3\n" \
  " lw a5, \\m(a1)\n" \
  " lbu a7, \\n(a1)\n" \
  " sll t0, a2, a7\n" \
  " addi t0, t0, " ONE "\n" \
  " addi a7, a7, 1\n" \
  " rv32_split \\s0, \\s1\n" \
  " rv32_split \\s2, \\s3\n" \
  " rv32_scale \\s0, a5, a7, a3, a4\n" \
  " rv32_scale \\s1, a5, a7, a3, a4\n" \
  " rv32_scale \\s2, a5, a7, a3, a4\n" \
  " rv32_scale \\s3, a5, a7, a3, a4\n" \
  ".endm\n" \
  ".macro rv32_store y, c0, c1, c2, c3\n" \
  " lw t0, \\y(a0)\n" \
  " sb \\c0, 0(t0)\n" \
  " sb \\c1, 1(t0)\n" \
  " sb \\c2, 2(t0)\n" \
  " sb \\c3, 3(t0)\n" \
  " addi t0, t0, 4\n" \
  " sw t0, \\y(a0)\n" \
  ".endm\n" \
  "addi sp, sp, -64\n" \
  RV32_REGISTERS("sw") \
  "sw a0, 8(sp)\n" \
  "lw a6, 16(a0)\n" \
  "1:\n" \
  "lw a1, 20(a0)\n" \
  "rv32_begin 0, s0, s1, s2, s3\n" \
  "rv32_begin 4, s4, s5, s6, s7\n" \
  "rv32_begin 8, s8, s9, s10, s11\n" \
  "rv32_begin 12, t3, t4, t5, t6\n" \
  "lw ra, 28(a0)\n" \
  "lw a0, 24(a0)\n" \
  "lui t0, 8\n" \
  "sub a1, ra, a0\n" \
  "andi a1, a1, 16\n" \
  "beqz a1, 2f\n" \
  "addi a0, a0, -16\n" /* an odd number of twos: begin with the second half of the loop */ \
  "addi a6, a6, -8\n" \
  "j 3f\n" \
  "2:\n" \
  "rv32_two_taps 0, 0\n" \
  "3:\n" \
  "rv32_two_taps 16, 8\n" \
  "addi a0, a0, 32\n" \
  "addi a6, a6, 16\n" \
  "bne a0, ra, 2b\n" \
  "lw a0, 8(sp)\n" \
  "lw a1, 20(a0)\n" \
  "lw a2, 36(a0)\n" \
  "lw a3, 40(a0)\n" \
  "lw a4, 44(a0)\n" \
  "rv32_finish 16, 32, s0, s1, s2, s3\n" \
  "rv32_finish 20, 33, s4, s5, s6, s7\n" \
  "rv32_finish 24, 34, s8, s9, s10, s11\n" \
  "rv32_finish 28, 35, t3, t4, t5, t6\n" \
  "rv32_store 0, s0, s4, s8, t3\n" \
  "rv32_store 4, s1, s5, s9, t4\n" \
  "rv32_store 8, s2, s6, s10, t5\n" \
  "rv32_store 12, s3, s7, s11, t6\n" \
  "addi a1, a1, 36\n" \
  "sw a1, 20(a0)\n" \
  "lw a2, 32(a0)\n" \
  "addi a2, a2, -1\n" \
  "sw a2, 32(a0)\n" \
  "bnez a2, 1b\n" \
  "sw a6, 16(a0)\n" \
  RV32_REGISTERS("lw") \
  "addi sp, sp, 64\n" \
  "ret\n" \
  ".purgem rv32_pair\n" \
  ".purgem rv32_channel\n" \
  ".purgem rv32_two_taps\n" \
  ".purgem rv32_begin\n" \
  ".purgem rv32_split\n" \
  ".purgem rv32_finish\n" \
  ".purgem rv32_store\n" \
  ".purgem rv32_scale\n"

#endif
