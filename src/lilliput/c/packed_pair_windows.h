/* The windows of pixels as bytes, tap behind tap, for the kernels of packed channel pairs. */
#ifndef LILLIPUT_PACKED_PAIR_WINDOWS_H
#define LILLIPUT_PACKED_PAIR_WINDOWS_H
#include "base.h"
#include "loops.h"
#include "packed_pair.h"

typedef struct {
  int32_t iw, ic, stride, pad;
  int32_t span, run;                 /* columns from the first tap to the last; bytes of a row of the window */
  int32_t pieces, columns, dilation; /* a row of taps is so many pieces of so many columns; they begin dilation apart */
  int32_t zeros;                     /* four times the input's zero point */
} packed_pair_window_t;

/* `size` bytes at an offset from each of `count` rows, `pitch` bytes apart in the result; nothing else is touched. The
   last of several words overlaps the one before. */
PACKED_PAIR_NAKED void packed_pair_move(void *to LILLIPUT_UNUSED, const void *const *rows LILLIPUT_UNUSED,
                                        int32_t offset LILLIPUT_UNUSED, int32_t size LILLIPUT_UNUSED,
                                        int32_t count LILLIPUT_UNUSED, int32_t pitch LILLIPUT_UNUSED) {
  __asm__(
      ".syntax unified\n"
      "push {r4-r8}\n"
      "ldrd r7, r8, [sp, #20]\n"
      "subs r4, r3, #4\n"
      "blt 5f\n"
      "sub r5, r3, #1\n"
      "bic r5, r5, #3\n"
      "sub r8, r8, r5\n" /* from the last word but one of a row to the next row */
      "1:\n"
      "ldr r12, [r1], #4\n"
      "add r12, r12, r2\n"
      "subs r4, r3, #4\n"
      "beq 3f\n"
      "2:\n"
      "ldr r5, [r12], #4\n"
      "str r5, [r0], #4\n"
      "subs r4, r4, #4\n"
      "bgt 2b\n"
      "3:\n"
      "ldr r5, [r12, r4]\n"
      "str r5, [r0, r4]\n"
      "add r0, r0, r8\n"
      "subs r7, r7, #1\n"
      "bne 1b\n"
      "4:\n"
      "pop {r4-r8}\n"
      "bx lr\n"
      "5:\n" /* fewer than four bytes */
      "sub r8, r8, r3\n"
      "6:\n"
      "ldr r12, [r1], #4\n"
      "mov r4, r3\n"
      "add r12, r12, r2\n"
      "7:\n"
      "ldrb r5, [r12], #1\n"
      "strb r5, [r0], #1\n"
      "subs r4, r4, #1\n"
      "bne 7b\n"
      "add r0, r0, r8\n"
      "subs r7, r7, #1\n"
      "bne 6b\n"
      "b 4b\n");
}

/* Whether no part of a window lies beside its row. */
LILLIPUT_INLINE int32_t packed_pair_inside(const packed_pair_window_t *p, int32_t ix) {
  return ix >= 0 && ix + p->span <= p->iw;
}

/* The windows of a pixel in `count` rows, from the column ix on, part of which lies beside the rows: zero points are there.
   `place` is of whole words. */
LILLIPUT_NOINLINE LILLIPUT_UNUSED static void packed_pair_border(const packed_pair_window_t *p, const void *const *rows,
                                                                 int32_t count, int32_t ix, int8_t *place) {
  int32_t *words = (int32_t *)(void *)place;
  LILLIPUT_ROLLED
  for (int32_t i = count * p->run; i > 0; i -= 4) *words++ = p->zeros;
  LILLIPUT_ROLLED
  for (int32_t i = p->pieces; i > 0; i--, ix += p->dilation, place += p->ic) {
    const int32_t first = max_i32(ix, 0), width = min_i32(ix + p->columns, p->iw) - first;
    if (width <= 0) continue;
    packed_pair_move(place + (first - ix) * p->ic, rows, first * p->ic, width * p->ic, count, p->run);
  }
}

/* A whole window. */
LILLIPUT_INLINE void packed_pair_copy(const packed_pair_window_t *p, const void *const *rows, int32_t count, int32_t ix,
                                      int8_t *place) {
  if (p->pieces == 1 && packed_pair_inside(p, ix)) packed_pair_move(place, rows, ix * p->ic, p->run, count, p->run);
  else packed_pair_border(p, rows, count, ix, place);
}

#endif
