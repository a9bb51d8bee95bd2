/* The inner loop of int8 convolutions with MVE: two pixels, four channels at a time, 128 products in 16 instructions.
   Weights, biases and multipliers are one stream, in the order in which they are read. Windows lie in memory that may
   be read, though not used, up to the next multiple of 16 bytes: there the weights are zero. */
#ifndef LILLIPUT_MVE_TILES_H
#define LILLIPUT_MVE_TILES_H
#include "base.h"
#include "mve_rounding.h"

/* The assembly reads this by offsets. */
typedef struct {
  const int32_t *end;    /* of w */
  int32_t blocks;        /* of 16 taps */
  const int8_t *x0, *x1; /* the taps of two pixels */
  int32_t step;          /* bytes from two pixels to the next two */
  const int32_t *w;      /* [oc / 4]{bias[4], int8 [blocks][4][16], mult[4], shift[4]}, shifts negative: right */
  int8_t *y;
  int32_t oc;    /* bytes from a pixel of the result to the next */
  int32_t pairs; /* of pixels */
  int32_t rest;  /* channels of the last four that exist */
  int32_t out_zp, lo, hi;
} mve_tiles_t;

/* Sixteen taps of two pixels for four channels, whose sums are in the even registers: VMLADAVA needs them. */
#define MVE_TILES_TAPS               \
  "vldrb.8 q0, [r9], #16\n"          \
  "vldrb.8 q2, [r5], #16\n"          \
  "vmladava.s8 r0, q0, q2\n"         \
  "vldrb.8 q1, [r11], #16\n"         \
  "vmladava.s8 r8, q1, q2\n"         \
  "vldrb.8 q3, [r5], #16\n"          \
  "vmladava.s8 r2, q0, q3\n"         \
  "vmladava.s8 r10, q1, q3\n"        \
  "vldrb.8 q2, [r5], #16\n"          \
  "vmladava.s8 r4, q0, q2\n"         \
  "vmladava.s8 r12, q1, q2\n"        \
  "vldrb.8 q3, [r5], #16\n"          \
  "vmladava.s8 r6, q0, q3\n"         \
  "vmladava.s8 lr, q1, q3\n"

/* The struct's first ten words are copied to the stack. */
#define MVE_TILES_BODY(ROUND)                       \
  __asm__ volatile(                                 \
      ".syntax unified\n"                           \
      "push {r4-r11, lr}\n"                         \
      "vpush {d8-d13}\n"                            \
      "ldm r0!, {r1-r10}\n"                         \
      "push {r1-r10}\n"                             \
      "ldm r0, {r2, r4, r6}\n"                      \
      "vdup.32 q6, r2\n"                            \
      "vdup.32 q4, r4\n"                            \
      "vdup.32 q5, r6\n"                            \
      "1: ldrd r5, r1, [sp, #20]\n"                 \
      "ldr r3, [sp, #28]\n"                         \
      "ldm sp, {r0, r7, r9, r11}\n"                 \
      "add r3, r1\n"                                \
      "b 3f\n"                                      \
      "2: vstrb.32 q0, [r1], #4\n"                  \
      "vstrb.32 q1, [r3], #4\n"                     \
      "3: ldm r5, {r0, r2, r4, r6}\n"               \
      "ldm r5!, {r8, r10, r12, lr}\n"               \
      "4:\n" MVE_TILES_TAPS                         \
      "subs r7, #2\n" /* the flags last */          \
      "bmi 5f\n" MVE_TILES_TAPS                     \
      "bgt 4b\n"                                   \
      "5: vldrw.32 q2, [r5], #16\n"                    \
      "vmov q0[2], q0[0], r0, r4\n"                 \
      "vmov q0[3], q0[1], r2, r6\n"                 \
      "vqrdmulh.s32 q0, q0, q2\n"                   \
      "vmov q1[2], q1[0], r8, r12\n"                \
      "vmov q1[3], q1[1], r10, lr\n"                \
      "vqrdmulh.s32 q1, q1, q2\n"                   \
      ROUND("q0", "q3") ROUND("q1", "q3")           \
      "vldrw.32 q2, [r5], #16\n"                    \
      "vrshl.s32 q0, q0, q2\n"                      \
      "vadd.i32 q0, q0, q6\n"                       \
      "vrshl.s32 q1, q1, q2\n"                      \
      "vadd.i32 q1, q1, q6\n"                       \
      "vmax.s32 q0, q0, q4\n"                       \
      "vmax.s32 q1, q1, q4\n"                       \
      "vmin.s32 q0, q0, q5\n"                       \
      "vmin.s32 q1, q1, q5\n"                       \
      "ldm sp, {r0, r7, r9, r11}\n"                 \
      "cmp r5, r0\n"                                \
      "bne 2b\n"                                    \
      "ldrd r2, r0, [sp, #32]\n"                    \
      "vctp.32 r0\n"                                \
      "vpstt\n"                                     \
      "vstrbt.32 q0, [r1]\n"                        \
      "vstrbt.32 q1, [r3]\n"                        \
      "ldr r4, [sp, #16]\n"                         \
      "ldrd r1, r3, [sp, #24]\n"                    \
      "add r9, r4\n"                                \
      "add r11, r4\n"                               \
      "strd r9, r11, [sp, #8]\n"                    \
      "add r1, r1, r3, lsl #1\n"                    \
      "str r1, [sp, #24]\n"                         \
      "subs r2, #1\n"                               \
      "str r2, [sp, #32]\n"                         \
      "bne 1b\n"                                    \
      "add sp, #40\n"                               \
      "vpop {d8-d13}\n"                             \
      "pop {r4-r11, pc}\n" ::: "memory")

#define MVE_TILES(how) mve_tiles_##how

LILLIPUT_NAKED static void mve_tiles_halves(const mve_tiles_t *t LILLIPUT_UNUSED) {
  MVE_TILES_BODY(MVE_ROUND(halves));
}

LILLIPUT_NAKED static void mve_tiles_relu(const mve_tiles_t *t LILLIPUT_UNUSED) {
  MVE_TILES_BODY(MVE_ROUND(relu));
}

typedef void mve_tiles_function_t(const mve_tiles_t *t);

/* `pixels` from the first of t->x0 on; one that is left over is computed twice. */
LILLIPUT_INLINE void mve_pixels(mve_tiles_function_t *tiles, mve_tiles_t *t, int32_t pixels, int32_t step) {
  t->pairs = pixels >> 1;
  t->step = 2 * step;
  t->x1 = t->x0 + step;
  if (t->pairs > 0) tiles(t);
  if ((pixels & 1) != 0) {
    mve_tiles_t last = *t;
    last.x0 += t->pairs * t->step;
    last.x1 = last.x0;
    last.y += t->pairs * 2 * t->oc;
    last.oc = 0;
    last.pairs = 1;
    tiles(&last);
  }
}

#endif
