/* Armv6-M: int8 convolution of three pixels with two multiplications per tap and channel.

   A tap of the pixels A, B, C is two words, X1 = A + 2^21 B and X2 = C + 2^10 B. Summed with a channel's weights they
   are Q1 = a + 2^21 b and Q2 = c + 2^10 b mod 2^32. The sums a, b, c take 21 bits each (proved offline; 2^20 is added
   to make them positive), so that they come back exactly: a is the low 21 bits of Q1, the low 11 of b are above them;
   less these, Q2 is c + 2^21 (b >> 11).
   Weights are stored plus 128, since unsigned bytes load faster; Q1 and Q2 start with -128 times the sums of X1, X2. */
#ifndef LILLIPUT_THUMB1_H
#define LILLIPUT_THUMB1_H
#include "loops.h"
#include "rows.h"

typedef struct {
  uint32_t *to;      /* where the next pair of words goes */
  uint32_t one, two; /* the sums of X1 and X2 so far */
  int32_t n;
} thumb1_run_t;

/* Packs n taps that lie side by side in each of three windows; n >= 1. */
LILLIPUT_NAKED static void thumb1_pack(const int8_t *a LILLIPUT_UNUSED,
                                                               const int8_t *b LILLIPUT_UNUSED,
                                                               const int8_t *c LILLIPUT_UNUSED,
                                                               thumb1_run_t *run LILLIPUT_UNUSED) {
  __asm__(".syntax unified\n"
          "push {r3-r7, lr}\n"
          "ldmia r3!, {r4-r7}\n"
          "mov r12, r5\n"
          "mov lr, r6\n"
          "adds r0, r0, r7\n"
          "adds r1, r1, r7\n"
          "adds r2, r2, r7\n"
          "rsbs r7, r7, #0\n"
          "mov r6, r4\n"
          "1:\n"
          "ldrsb r3, [r0, r7]\n"
          "ldrsb r4, [r1, r7]\n"
          "ldrsb r5, [r2, r7]\n"
          "lsls r4, r4, #10\n"
          "adds r5, r5, r4\n"
          "lsls r4, r4, #11\n"
          "adds r3, r3, r4\n"
          "stmia r6!, {r3, r5}\n"
          "add r12, r3\n"
          "add lr, r5\n"
          "adds r7, #1\n"
          "bne 1b\n"
          "pop {r3}\n"
          "mov r4, r6\n"
          "mov r5, r12\n"
          "mov r6, lr\n"
          "stmia r3!, {r4-r6}\n"
          "pop {r4-r7, pc}\n");
}

typedef struct {
  const uint32_t *w;       /* blocks of four channels: [taps]{four weights + 128}, four records; the last may overlap */
  const int8_t *pad_pixel; /* [ic] zero points, where windows reach over the ends of rows */
  int32_t iw, ic, ow, oc, kh, kw, stride, dilation, pad;
  int32_t taps; /* kh kw ic, filled up to a multiple of 4; or that of parts of them */
} thumb1_conv_t;

/* Takes n taps of three windows. */
typedef void thumb1_put_t(void *state, const int8_t *a, const int8_t *b, const int8_t *c, int32_t n);

/* Gives `put` the windows of `count` pixels from `ox` on, [kh][kw][ic]. Where there are less than three, the last comes
   again. */
LILLIPUT_INLINE void thumb1_windows(thumb1_put_t *put, void *state, const thumb1_conv_t *p, const void *const *rows,
                                    int32_t ox, int32_t count) {
  const int32_t ic = p->ic, first = ox * p->stride - p->pad;
  const int32_t second = first + (count > 1 ? p->stride : 0), third = second + (count > 2 ? p->stride : 0);
  const int32_t inside = p->dilation == 1 && first >= 0 && third + p->kw <= p->iw;
  for (int32_t ky = 0; ky < p->kh; ky++) {
    const int8_t *const row = rows[ky];
    if (inside) {
      put(state, row + first * ic, row + second * ic, row + third * ic, p->kw * ic);
      continue;
    }
    for (int32_t kx = 0, at = 0; kx < p->kw; kx++, at += p->dilation) {
      const int32_t a = first + at, b = second + at, c = third + at;
      put(state, a >= 0 && a < p->iw ? row + a * ic : p->pad_pixel, b >= 0 && b < p->iw ? row + b * ic : p->pad_pixel,
          c >= 0 && c < p->iw ? row + c * ic : p->pad_pixel, ic);
    }
  }
}

/* Writes what Q1 and Q2 start with before the taps whose sums are in `run`. */
LILLIPUT_INLINE void thumb1_start(const thumb1_run_t *run, uint32_t *to) {
  to[0] = (1u << 20) - 128u * run->one;
  to[1] = (1u << 20) + (1u << 30) - 128u * run->two;
}

typedef struct {
  int32_t one, two;     /* from the first pixel's result to those of the others */
  const uint32_t *end;  /* of the words of the windows */
  int32_t left;         /* channels */
  int32_t back;         /* bytes of weights that an iteration of half the length saves */
} thumb1_call_t;

/* What `count` pixels need to know. */
LILLIPUT_INLINE thumb1_call_t thumb1_call(const thumb1_conv_t *p, int32_t count, const uint32_t *end) {
  const int32_t one = count > 1 ? p->oc : 0, two = count > 2 ? 2 * p->oc : one;
  const thumb1_call_t call = {one, two, end, p->oc, 4 * (p->taps & 4)};
  return call;
}

/* The stack of a function: eight words of Q1 and Q2, then these. */
#define THUMB1_X "[sp, #32]"
#define THUMB1_Y "[sp, #36]"
#define THUMB1_ONE "[sp, #40]"
#define THUMB1_TWO "[sp, #44]"
#define THUMB1_END "[sp, #48]"
#define THUMB1_LEFT "[sp, #52]"
#define THUMB1_BACK "[sp, #56]"

#define THUMB1_PUSH \
  ".syntax unified\n" \
  "push {r4-r7, lr}\n" \
  "mov r4, r8\n" \
  "mov r5, r9\n" \
  "mov r6, r10\n" \
  "mov r7, r11\n" \
  "push {r4-r7}\n" \
  "sub sp, #60\n"

/* From (x, weights, y, thumb1_call_t *). */
#define THUMB1_ENTER \
  THUMB1_PUSH \
  "str r0, " THUMB1_X "\n" \
  "str r2, " THUMB1_Y "\n" \
  "add r4, sp, #40\n" \
  "ldmia r3!, {r2, r5-r7}\n" \
  "stmia r4!, {r2, r5-r7}\n" \
  "ldr r2, [r3]\n" \
  "str r2, [r4]\n"

#define THUMB1_POP \
  "add sp, #60\n" \
  "pop {r4-r7}\n" \
  "mov r8, r4\n" \
  "mov r9, r5\n" \
  "mov r10, r6\n" \
  "mov r11, r7\n" \
  "pop {r4-r7, pc}\n"

/* Four taps: r0 -> X1, X2; r1 -> weights, `offsets` ahead. Q1, Q2 of the channels: r8 r9, r10 r11, r6 r7, r12 lr. */
#define THUMB1_FOUR(offsets) \
  ".irp i, " offsets "\n" \
  "ldmia r0!, {r2, r3}\n" \
  "ldrb r4, [r1, #\\i]\n" \
  "movs r5, r4\n" \
  "muls r5, r2, r5\n" \
  "add r8, r5\n" \
  "muls r4, r3, r4\n" \
  "add r9, r4\n" \
  "ldrb r4, [r1, #\\i + 1]\n" \
  "movs r5, r4\n" \
  "muls r5, r2, r5\n" \
  "add r10, r5\n" \
  "muls r4, r3, r4\n" \
  "add r11, r4\n" \
  "ldrb r4, [r1, #\\i + 2]\n" \
  "movs r5, r4\n" \
  "muls r5, r2, r5\n" \
  "adds r6, r6, r5\n" \
  "muls r4, r3, r4\n" \
  "adds r7, r7, r4\n" \
  "ldrb r4, [r1, #\\i + 3]\n" \
  "muls r2, r4, r2\n" \
  "add r12, r2\n" \
  "muls r3, r4, r3\n" \
  "add lr, r3\n" \
  ".endr\n"

/* The same for one pixel: only its sums in Q1 count. */
#define THUMB1_FOUR_OF_ONE(offsets) \
  ".irp i, " offsets "\n" \
  "ldmia r0!, {r2, r3}\n" \
  "ldrb r4, [r1, #\\i]\n" \
  "muls r4, r2, r4\n" \
  "add r8, r4\n" \
  "ldrb r4, [r1, #\\i + 1]\n" \
  "muls r4, r2, r4\n" \
  "add r10, r4\n" \
  "ldrb r4, [r1, #\\i + 2]\n" \
  "muls r4, r2, r4\n" \
  "adds r6, r6, r4\n" \
  "ldrb r4, [r1, #\\i + 3]\n" \
  "muls r2, r4, r2\n" \
  "add r12, r2\n" \
  ".endr\n"

/* The sums of four channels, from r0 to THUMB1_END; with an odd number of fours a loop begins in its middle. */
#define THUMB1_SUMS \
  "ldmia r0!, {r6, r7}\n" \
  "mov r8, r6\n" \
  "mov r9, r7\n" \
  "mov r10, r6\n" \
  "mov r11, r7\n" \
  "mov r12, r6\n" \
  "mov lr, r7\n" \
  "ldr r4, " THUMB1_BACK "\n" \
  "subs r1, r1, r4\n" \
  "ldr r5, " THUMB1_ONE "\n" \
  "cmp r5, #0\n" \
  "bne 4f\n" \
  "cmp r4, #0\n" \
  "bne 3f\n" \
  "2:\n" THUMB1_FOUR_OF_ONE("0, 4, 8, 12") \
  "3:\n" THUMB1_FOUR_OF_ONE("16, 20, 24, 28") \
  "adds r1, #32\n" \
  "ldr r4, " THUMB1_END "\n" \
  "cmp r0, r4\n" \
  "bne 2b\n" \
  "b 8f\n" \
  "4:\n" \
  "cmp r4, #0\n" \
  "bne 3f\n" \
  "2:\n" THUMB1_FOUR("0, 4, 8, 12") \
  "3:\n" THUMB1_FOUR("16, 20, 24, 28") \
  "adds r1, #32\n" \
  "ldr r4, " THUMB1_END "\n" \
  "cmp r0, r4\n" \
  "beq 8f\n" \
  "b 2b\n" \
  "8:\n" \
  "mov r2, r8\n" \
  "mov r3, r9\n" \
  "mov r4, r10\n" \
  "mov r5, r11\n" \
  "mov r0, sp\n" \
  "stmia r0!, {r2-r7}\n" \
  "mov r2, r12\n" \
  "mov r3, lr\n" \
  "stmia r0!, {r2, r3}\n"

/* r2, r3, r4 = the three sums, plus 2^20, of the next channel at r0; r5 is lost. */
#define THUMB1_DECODE \
  "ldmia r0!, {r2, r4}\n" \
  "lsrs r3, r2, #21\n" \
  "lsls r2, r2, #11\n" \
  "lsrs r2, r2, #11\n" \
  "lsls r5, r3, #10\n" \
  "subs r4, r4, r5\n" \
  "lsrs r5, r4, #21\n" \
  "lsls r5, r5, #11\n" \
  "adds r3, r3, r5\n" \
  "lsls r4, r4, #11\n" \
  "lsrs r4, r4, #11\n"

/* A channel's record: what is added to its sums; width << 13 | low, or one word each; where sums bend two more words;
   high; c. */

/* How far r2, r3, r4, with the record's first word added, lie below the width: from 0 to it. r7 = low; r0 is lost. */
#define THUMB1_CLAMP \
  "ldmia r1!, {r5, r6}\n" \
  "lsls r7, r6, #19\n" \
  "lsrs r7, r7, #19\n" \
  "lsrs r6, r6, #13\n" THUMB1_CLAMPED
#define THUMB1_CLAMP_WIDE "ldmia r1!, {r5-r7}\n" THUMB1_CLAMPED
#define THUMB1_CLAMPED \
  ".irp v, r2, r3, r4\n" \
  "adds \\v, \\v, r5\n" \
  "asrs r0, \\v, #31\n" \
  "bics \\v, r0\n" \
  "subs \\v, r6, \\v\n" \
  "asrs r0, \\v, #31\n" \
  "bics \\v, r0\n" \
  ".endr\n"

/* v = (c - (v high + (v low >> 13) + bend)) >> 24, with high, c, low in r5, r6, r7. r0 is lost. */
#define THUMB1_SCALED(v, bend) \
  "movs r0, " v "\n" \
  "muls r0, r7, r0\n" \
  "lsrs r0, r0, #13\n" \
  "muls " v ", r5, " v "\n" \
  "adds " v ", " v ", r0\n" bend "subs " v ", r6, " v "\n" \
  "asrs " v ", " v ", #24\n"

/* r2, r3, r4 scaled. */
#define THUMB1_SCALE(signs) THUMB1_SCALE_##signs
#define THUMB1_SCALE_straight \
  "ldmia r1!, {r5, r6}\n" THUMB1_SCALED("r2", "") THUMB1_SCALED("r3", "") THUMB1_SCALED("r4", "")

/* Rounding is symmetric: accumulators below 0, those more than the first of two words below the width, round as if they
   were less by the second. Needed where not all of them clamp. */
#define THUMB1_BEND(v, to) \
  "subs r0, r5, " v "\n" \
  "asrs r0, r0, #31\n" \
  "ands r0, r6\n" \
  "mov " to ", r0\n"
#define THUMB1_SCALE_bent \
  "ldmia r1!, {r5, r6}\n" THUMB1_BEND("r2", "r9") THUMB1_BEND("r3", "r10") THUMB1_BEND("r4", "r11") \
  "ldmia r1!, {r5, r6}\n" THUMB1_SCALED("r2", "add r2, r9\n") THUMB1_SCALED("r3", "add r3, r10\n") \
  THUMB1_SCALED("r4", "add r4, r11\n")

/* Stores a channel of three pixels; the first last, for where there are less, the others come to the same place. */
#define THUMB1_STORE \
  "ldr r5, " THUMB1_Y "\n" \
  "ldr r6, " THUMB1_ONE "\n" \
  "ldr r7, " THUMB1_TWO "\n" \
  "strb r4, [r5, r7]\n" \
  "strb r3, [r5, r6]\n" \
  "strb r2, [r5]\n" \
  "adds r5, #1\n" \
  "str r5, " THUMB1_Y "\n"

/* Back to label 1 for the next block of channels; one of less than four begins earlier. */
#define THUMB1_NEXT \
  "ldr r4, " THUMB1_LEFT "\n" \
  "subs r4, #4\n" \
  "beq 7f\n" \
  "cmp r4, #4\n" \
  "bhs 6f\n" \
  "ldr r5, " THUMB1_Y "\n" \
  "adds r5, r5, r4\n" \
  "subs r5, #4\n" \
  "str r5, " THUMB1_Y "\n" \
  "movs r4, #4\n" \
  "6:\n" \
  "str r4, " THUMB1_LEFT "\n" \
  "b 1b\n" \
  "7:\n"

#endif
