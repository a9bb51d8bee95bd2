/* Requantization in assembly on RV32IM, in few instructions. h = mulh(4 x, m) holds one bit more than the doubling high
   product of an accumulator x, so that v = (h + (x < 0 ? -1 : 1) + 2^n (2 z + 1)) >> (n + 1) rounds twice exactly as
   scale_right does (requantize.h), for |x| < 2^29. What is computed is lo - v, so that a sign mask bounds it, and from
   that v - hi, likewise.

   Where results below the zero point are cut off, those of x < 0 do not matter, and halves may be rounded up. */
#ifndef LILLIPUT_RV32_REQUANTIZE_H
#define LILLIPUT_RV32_REQUANTIZE_H

/* What is done to h in t1, \v being 4 x, and what is taken from 2^n (2 (lo - z) + 1). */
#define halves_away " srai \\v, \\v, 31\n ori \\v, \\v, 1\n add t1, t1, \\v\n", "-1"
#define halves_up "", "-2"

/* 4 x in \v -> an int8 in t1. t0: 2^n (2 (lo - z) + 1), less one or two; m, n + 1, lo - hi and hi are registers. */
#define RV32_SCALE(SIGN) \
  ".macro rv32_scale v, m, n, lo_hi, hi\n" \
  " mulh t1, \\v, \\m\n" SIGN \
  " sub t1, t0, t1\n" \
  " sra t1, t1, \\n\n" \
  " srai \\v, t1, 31\n" \
  " and t1, t1, \\v\n" \
  " sub t1, \\lo_hi, t1\n" \
  " srai \\v, t1, 31\n" \
  " and t1, t1, \\v\n" \
  " add \\v, t1, \\hi\n" \
  ".endm\n"

#endif
