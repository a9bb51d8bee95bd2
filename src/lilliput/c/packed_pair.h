/* Packed channel pairs: the int8 inner product of Armv7E-M and Armv8-M cores with the DSP extension.

   A word of weights holds two taps of the channels A and B as the bytes {A[i], B'[i], A[j], B'[j]} with B' = B - (A < 0),
   so that either halfword is exactly 256 B + A. Pixels are widened to halfwords once, {x[i], x[j]}. Then

     m = SMLAD(word, x, m)          sums (256 B + A) x
     a = SMLAD(SXTB16(word), x, a)  sums A x

   and (m - a) / 256 is the sum of B. All sums are modulo 2^32; only the final sum of B must lie within 2^23, and no tap
   may have B = -128 beside A < 0 (both proved offline). Weights come in units of four taps, as the words of the taps
   (0, 2) and (1, 3): what SXTB16 makes of a word of pixels.

   A pair in the stream of constants: the first values of a and m, the units of weights, two words {q, r} for A and two
   for B. How sums become results:

   - q of A >= 0: SSAT8(SMMLAR(a, q, r) >> 5), and of B SSAT8(SMMLAR(m - a, q, r) >> 13). One line through a staircase:
     offline, q, r and an offset in the bias are chosen so that every reachable sum gives the exact result. They exist
     where it does not matter that halves round away from zero, as below a ReLU.
   - q of A < 0: scale_right() of requantize.h. q is the multiplier (of A with the sign as a mark), and
     r = (2 zero_point + 1) << 16 | (shift - 1). */
#ifndef LILLIPUT_PACKED_PAIR_H
#define LILLIPUT_PACKED_PAIR_H
#include "base.h"

/* A function that is assembly and nothing else: its arguments lie where the calling convention has them. */
#define PACKED_PAIR_NAKED LILLIPUT_NAKED static

/* Enter a loop of four units in its midst, at the label 1 to 3 that is the number of units left over by four: shifted
   left by 31, its bits are the flags C and N. FAR stands behind the function. */
#define PACKED_PAIR_ENTER "bcs 5f\n bmi 1f\n"
#define PACKED_PAIR_FAR "5: bmi 3b\n b 2b\n"

/* Results on the line. */
#define PACKED_PAIR_LINE(sum, q, r, shift, at)  \
  "smmlar " sum ", " sum ", " q ", " r "\n"     \
  "ssat " sum ", #8, " sum ", asr #" shift "\n" \
  "strb " sum ", " at "\n"

/* Results of scale_right(): r2 and r3 are q and r, `twice` is the sum doubled; r4 and r5 are changed. */
#define PACKED_PAIR_ROUNDING "asr r4, r3, #16\n lsl r4, r4, r3\n"
#define PACKED_PAIR_EXACT(sum, twice, at)  \
  twice "\n"                               \
  "add r5, r4, " sum ", asr #31\n"         \
  "smmlar " sum ", " sum ", r2, r5\n"      \
  "asr " sum ", " sum ", r3\n"             \
  "ssat " sum ", #8, " sum ", asr #1\n"    \
  "strb " sum ", " at "\n"
#define PACKED_PAIR_EXACT_A(sum, at) PACKED_PAIR_EXACT(sum, "lsl " sum ", " sum ", #1", at)
#define PACKED_PAIR_EXACT_B(sum, at) PACKED_PAIR_EXACT(sum, "asr " sum ", " sum ", #7", at)

#endif
