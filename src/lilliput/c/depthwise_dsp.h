/* int8 depthwise convolution of one output row by windows of up to 3 x 3, for cores with the DSP extension: everything
   but how the sums become results. Four channels at a time go along the row. First the columns that the windows see are
   widened into scratch memory, each as {r0, r1} of four channels and r2 as {c0, c2}, {c1, c3}, so that SMLAD takes two
   rows at once. Then each window reads three columns that lie side by side; a smaller one has weights of zero there.
   The input's zero point is folded into the bias; where four does not divide the channels, the last block starts
   earlier and computes some of them again.
   The functions in assembly list what they change: gcc looks into functions for what a call leaves as it was. */
#ifndef LILLIPUT_DEPTHWISE_DSP_H
#define LILLIPUT_DEPTHWISE_DSP_H
#include "loops.h"
#include "requantize.h"
#include "rows.h"

enum { DEPTHWISE_DSP_COLUMN = 6 }; /* words of a widened column */

typedef struct {
  const int32_t *blocks; /* [channels / 4]{bias[4], 3 columns of weights, how the sums become results} */
  int32_t iw, c, ow, kh, stride, pad;
  int32_t columns;   /* how many widened columns the scratch memory holds */
  int32_t zero_pair; /* two zero points as int16 */
  int32_t lo, hi;
} depthwise_dsp_t;

/* What the assembly reads, by offset. */
typedef struct {
  const int32_t *blocks;  /* 0 */
  int32_t channel, last;  /* 4, 8: of this block, of the last block */
  const int8_t *rows[3];  /* 12: behind the columns to be widened */
  int32_t span, step;     /* 24, 28: minus the bytes of all these columns, the bytes of one */
  int32_t *widened;       /* 32: where they go */
  int8_t *y;              /* 36: the first result */
  int32_t results, back;  /* 40, 44: bytes of all results; from a window's end back to the next one */
  const int32_t *windows; /* 48: where the first window begins */
} depthwise_dsp_part_t;

/* Computes all channels of some pixels. */
typedef void depthwise_dsp_block_t(depthwise_dsp_part_t *part);

LILLIPUT_INLINE int32_t *depthwise_dsp_fill(int32_t *to, int32_t columns, int32_t pair) {
  int32_t *const end = to + DEPTHWISE_DSP_COLUMN * columns;
  LILLIPUT_ROLLED while (to != end) *to++ = pair;
  return to;
}

/* The row, in parts whose columns fit in the scratch memory. */
LILLIPUT_INLINE void depthwise_dsp_row(depthwise_dsp_block_t *block, const depthwise_dsp_t *p, const void *const *rows,
                                       int8_t *y, int32_t *scratch) {
  const int32_t most = (p->columns - 3) / p->stride + 1;
  for (int32_t ox = 0; ox < p->ow; ox += most) {
    const int32_t n = min_i32(most, p->ow - ox);
    const int32_t left = ox * p->stride - p->pad, right = left + (n - 1) * p->stride + 3;
    const int32_t from = max_i32(left, 0), to = min_i32(right, p->iw);
    depthwise_dsp_part_t part;
    part.blocks = p->blocks;
    part.channel = 0;
    part.last = p->c - 4;
    LILLIPUT_ROLLED
    for (int32_t k = 0; k < 3; k++) {
      part.rows[k] = (const int8_t *)rows[min_i32(k, p->kh - 1)] + to * p->c;
    }
    part.step = p->c;
    part.span = (from - to) * p->c;
    part.windows = scratch;
    part.widened = depthwise_dsp_fill(scratch, from - left, p->zero_pair);
    (void)depthwise_dsp_fill(part.widened + (to - from) * DEPTHWISE_DSP_COLUMN, right - to, p->zero_pair);
    part.y = y + ox * p->c;
    part.results = n * p->c;
    part.back = 4 * DEPTHWISE_DSP_COLUMN * (3 - p->stride);
    block(&part);
  }
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(y, p->ow * p->c, p->lo, p->hi);
}

/* Three taps of each channel, one below the other. */
#define DEPTHWISE_DSP_TAPS   \
  "ldm r12!, {r4-r7}\n"      \
  "ldm lr!, {r8-r11}\n"      \
  "smlad r0, r4, r8, r0\n"   \
  "smlad r1, r5, r9, r1\n"   \
  "smlad r2, r6, r10, r2\n"  \
  "smlad r3, r7, r11, r3\n"  \
  "ldrd r4, r5, [r12], #8\n" \
  "ldrd r8, r9, [lr], #8\n"  \
  "smlabb r0, r4, r8, r0\n"  \
  "smlabb r1, r5, r9, r1\n"  \
  "smlatt r2, r4, r8, r2\n"  \
  "smlatt r3, r5, r9, r3\n"

/* The function up to the sums r0-r3 of a pixel: r12 is behind its window, lr behind the weights. On the stack: where
   its results go, where the last ones end, `back`, `step`, the part. */
#define DEPTHWISE_DSP_SUMS                                 \
  ".syntax unified\n"                                      \
  "push {r4-r11, lr}\n"                                    \
  "sub sp, sp, #20\n"                                      \
  "str r0, [sp, #16]\n"                                    \
  "1: ldr r12, [sp, #16]\n"                                \
  "ldr lr, [r12, #4]\n"                                    \
  "add r0, r12, #12\n"                                     \
  "ldm r0, {r0-r8}\n"                                      \
  "add r0, r0, lr\n"                                       \
  "add r1, r1, lr\n"                                       \
  "add r2, r2, lr\n"                                       \
  "add r6, r6, lr\n"                                       \
  "add r7, r7, r6\n"                                       \
  "stm sp, {r6-r8}\n"                                      \
  "str r4, [sp, #12]\n"                                    \
  "2: ldr r6, [r0, r3]\n"                                  \
  "ldr r8, [r1, r3]\n"                                     \
  "ldr r12, [r2, r3]\n"                                    \
  "pkhbt r10, r6, r8, lsl #16\n"                           \
  "pkhtb r6, r8, r6, asr #16\n"                            \
  "sxtb16 r7, r10\n"                                       \
  "sxtb16 r8, r10, ror #8\n"                               \
  "sxtb16 r9, r6\n"                                        \
  "sxtb16 r10, r6, ror #8\n"                               \
  "sxtb16 r11, r12\n"                                      \
  "sxtb16 r12, r12, ror #8\n"                              \
  "stm r5!, {r7-r12}\n"                                    \
  "adds r3, r3, r4\n"                                      \
  "bne 2b\n"                                               \
  "ldr r4, [sp, #16]\n"                                    \
  "ldr r12, [r4, #48]\n"                                   \
  "ldr lr, [r4]\n"                                         \
  "3: ldm lr!, {r0-r3}\n"                                  \
  DEPTHWISE_DSP_TAPS DEPTHWISE_DSP_TAPS DEPTHWISE_DSP_TAPS

/* The rest of it: the results are r0-r3, and lr is behind the constants of the block, which take `size` bytes. */
#define DEPTHWISE_DSP_RESULTS(size) \
  "ldm sp, {r4-r7}\n"               \
  "strb r0, [r4]\n"                 \
  "strb r1, [r4, #1]\n"             \
  "strb r2, [r4, #2]\n"             \
  "strb r3, [r4, #3]\n"             \
  "add r4, r4, r7\n"                \
  "str r4, [sp]\n"                  \
  "sub r12, r12, r6\n"              \
  "sub lr, lr, #" size "\n"         \
  "cmp r4, r5\n"                    \
  "bne 3b\n"                        \
  "add lr, lr, #" size "\n"         \
  "ldr r12, [sp, #16]\n"            \
  "ldrd r3, r4, [r12, #4]\n"        \
  "cmp r3, r4\n"                    \
  "beq 4f\n"                        \
  "add r3, r3, #4\n"                \
  "cmp r3, r4\n"                    \
  "it gt\n"                         \
  "movgt r3, r4\n"                  \
  "strd lr, r3, [r12]\n"            \
  "b 1b\n"                          \
  "4: add sp, sp, #20\n"            \
  "pop {r4-r11, pc}\n"

/* scale_right() of the sums a and b by two channels' {multiplier, (2 z + 1) 2^(n - 1), n}. */
#define DEPTHWISE_DSP_TWO(a, b)       \
  "ldm lr!, {r4-r9}\n"                \
  "smmlar r4, " a ", r4, r5\n"        \
  "smmlar r7, " b ", r7, r8\n"        \
  "add r4, r4, " a ", asr #31\n"      \
  "add r7, r7, " b ", asr #31\n"      \
  "asr r4, r4, r6\n"                  \
  "asr r7, r7, r9\n"                  \
  "ssat " a ", #8, r4\n"              \
  "ssat " b ", #8, r7\n"

#endif
