/* int8 depthwise convolution of one output row by windows of any size on cores with the DSP extension, in the way of
   depthwise_dsp.h: columns are widened before, here each as {r0, r1} of four channels, then {r2, r3} and so on; the
   last row of an odd number is paired with itself and a weight of zero. Results are made as in dw_s8_dsp.c. */
#include "depthwise_dsp.h"

typedef struct {
  const int32_t *blocks; /* [channels / 4]{bias[4], columns of weights, constants of two channels, of the others} */
  int32_t iw, c, ow, kh, kw, stride, pad;
  int32_t columns;   /* how many widened columns the scratch memory holds */
  int32_t zero_pair; /* two zero points as int16 */
  int32_t lo, hi;
} dw_s8_dsp_window_t;

/* What the assembly reads, by offset. */
typedef struct {
  const int32_t *blocks;                 /* 0 */
  int32_t channel, last;                 /* 4, 8: of this block, of the last block */
  int32_t span, step;                    /* 12, 16: minus the bytes of all columns to be widened, the bytes of one */
  int32_t *widened;                      /* 20: where they go */
  int8_t *y;                             /* 24: the first result */
  int32_t results, back;                 /* 28, 32: bytes of all results; from a window's end back to the next one */
  int32_t size;                          /* 36: bytes of a block's constants */
  const int32_t *windows;                /* 40: where the first window begins */
  int32_t pairs, pitch, units;           /* 44, 48, 52: pairs of rows, bytes of a widened column, pairs in a window */
  const int8_t *rows[LILLIPUT_TAPS + 1]; /* 56: behind the columns to be widened */
} dw_s8_dsp_window_part_t;

/* On the stack: where the next results go, where the last ones end, `back`, `step`, `size`, the part, `units`, how many
   pairs of rows are left. */
LILLIPUT_NAKED static void dw_s8_dsp_window_block(dw_s8_dsp_window_part_t *part LILLIPUT_UNUSED) {
  __asm__ volatile(
      ".syntax unified\n"
      "push {r4-r11, lr}\n"
      "sub sp, sp, #32\n"
      "ldr r1, [r0, #52]\n"
      "strd r0, r1, [sp, #20]\n"
      "1: ldr r12, [sp, #20]\n"
      "ldr lr, [r12, #4]\n"
      "add r4, r12, #12\n"
      "ldm r4, {r2-r8}\n" /* span, step, widened, y, results, back, size */
      "add r5, r5, lr\n"
      "add r6, r6, r5\n"
      "stm sp, {r5-r7}\n"
      "strd r3, r8, [sp, #12]\n"
      "ldrd r6, r11, [r12, #44]\n"
      "add r12, r12, #56\n"
      "2: str r6, [sp, #28]\n"
      "ldrd r0, r1, [r12], #8\n"
      "add r0, r0, lr\n"
      "add r1, r1, lr\n"
      "mov r5, r4\n"
      "add r4, r4, #16\n"
      "mov r6, r2\n"
      "3: ldr r8, [r0, r6]\n"
      "ldr r10, [r1, r6]\n"
      "pkhbt r7, r8, r10, lsl #16\n"
      "pkhtb r10, r10, r8, asr #16\n"
      "sxtb16 r8, r7, ror #8\n"
      "sxtb16 r7, r7\n"
      "sxtb16 r9, r10\n"
      "sxtb16 r10, r10, ror #8\n"
      "stm r5, {r7-r10}\n"
      "add r5, r5, r11\n"
      "adds r6, r6, r3\n"
      "bne 3b\n"
      "ldr r6, [sp, #28]\n"
      "subs r6, r6, #1\n"
      "bne 2b\n"
      "ldr r4, [sp, #20]\n"
      "ldr r12, [r4, #40]\n"
      "ldr lr, [r4]\n"
      "4: ldm lr!, {r0-r3}\n"
      "ldr r10, [sp, #24]\n"
      "5: ldm r12!, {r4-r7}\n"
      "ldrd r8, r9, [lr], #8\n"
      "smlad r0, r4, r8, r0\n"
      "smlad r1, r5, r9, r1\n"
      "ldrd r8, r9, [lr], #8\n"
      "smlad r2, r6, r8, r2\n"
      "smlad r3, r7, r9, r3\n"
      "subs r10, r10, #1\n"
      "bne 5b\n" DEPTHWISE_DSP_TWO("r0", "r1") DEPTHWISE_DSP_TWO("r2", "r3")
      "ldm sp, {r4-r8}\n"
      "strb r0, [r4]\n"
      "strb r1, [r4, #1]\n"
      "strb r2, [r4, #2]\n"
      "strb r3, [r4, #3]\n"
      "add r4, r4, r7\n"
      "str r4, [sp]\n"
      "sub r12, r12, r6\n"
      "sub lr, lr, r8\n"
      "cmp r4, r5\n"
      "bne 4b\n"
      "add lr, lr, r8\n"
      "ldr r12, [sp, #20]\n"
      "ldrd r3, r4, [r12, #4]\n"
      "cmp r3, r4\n"
      "beq 6f\n"
      "add r3, r3, #4\n"
      "cmp r3, r4\n"
      "it gt\n"
      "movgt r3, r4\n"
      "strd lr, r3, [r12]\n"
      "b 1b\n"
      "6: add sp, sp, #32\n"
      "pop {r4-r11, pc}\n" ::
          : "r0", "r1", "r2", "r3", "r12", "cc", "memory");
}

static int32_t *dw_s8_dsp_window_fill(int32_t *to, int32_t words, int32_t pair) {
  LILLIPUT_ROLLED for (; words > 0; words--) *to++ = pair;
  return to;
}

static void dw_s8_dsp_window(const void *params, const void *const *rows, void *out, void *scratch) {
  const dw_s8_dsp_window_t *p = params;
  const int32_t pairs = (p->kh + 1) >> 1, words = 4 * pairs;
  const int32_t most = (p->columns - p->kw) / p->stride + 1;
  int8_t *y = out;
  for (int32_t ox = 0; ox < p->ow; ox += most) {
    const int32_t n = min_i32(most, p->ow - ox);
    const int32_t left = ox * p->stride - p->pad, right = left + (n - 1) * p->stride + p->kw;
    const int32_t from = max_i32(left, 0), to = min_i32(right, p->iw);
    dw_s8_dsp_window_part_t part;
    part.blocks = p->blocks;
    part.channel = 0;
    part.last = p->c - 4;
    part.span = (from - to) * p->c;
    part.step = p->c;
    part.widened = dw_s8_dsp_window_fill(scratch, words * (from - left), p->zero_pair);
    (void)dw_s8_dsp_window_fill(part.widened + words * (to - from), words * (right - to), p->zero_pair);
    part.y = y + ox * p->c;
    part.results = n * p->c;
    part.back = 4 * words * (p->kw - p->stride);
    part.windows = scratch;
    part.pairs = pairs;
    part.pitch = 4 * words;
    part.units = pairs * p->kw;
    part.size = 16 * part.units + 64;
    LILLIPUT_ROLLED
    for (int32_t k = 0; k < 2 * pairs; k++) {
      part.rows[k] = (const int8_t *)rows[min_i32(k, p->kh - 1)] + to * p->c;
    }
    dw_s8_dsp_window_block(&part);
  }
  if (p->lo > INT8_MIN || p->hi < INT8_MAX) clamp_s8(y, p->ow * p->c, p->lo, p->hi);
}
