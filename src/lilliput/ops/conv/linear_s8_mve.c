/* int8 convolution with MVE of one pixel whose window is a piece of a row: linear layers, four channels at a time.
   The input's zero point is folded into the bias; every channel shifts right (proved offline). ROUNDING: mve_rounding.h. */
#include "mve_rounding.h"
#include "rows.h"

typedef struct {
  const int32_t *w; /* as of mve_tiles_t */
  int32_t words;    /* of w */
  int32_t taps, oc;
  int32_t out_zp, lo, hi;
} KERNEL_t;

typedef struct {
  int8_t *y;
  const int8_t *x;
  const int32_t *w, *end;
  int32_t taps, out_zp, lo, hi;
  int32_t rest; /* channels of the last four that exist */
} KERNEL_part_t;

LILLIPUT_NAKED static void KERNEL_fours(const KERNEL_part_t *part LILLIPUT_UNUSED) {
  __asm__ volatile(
      ".syntax unified\n"
      "push {r4-r10, lr}\n"
      "ldm r0, {r1, r3, r5, r7, r8}\n"
      "add r0, #20\n"
      "ldm r0, {r2, r4, r6, r10}\n"
      "vpush {d8-d13}\n"
      "vdup.32 q4, r2\n"
      "vdup.32 q5, r4\n"
      "vdup.32 q6, r6\n"
      "b 2f\n"
      "1: vstrb.32 q0, [r1], #4\n"
      "2: ldm r5!, {r0, r2, r4, r6}\n"
      "mov r9, r3\n"
      "dlstp.8 lr, r8\n"
      "3: vldrb.8 q0, [r9], #16\n"
      "vldrb.8 q1, [r5], #16\n"
      "vmladava.s8 r0, q0, q1\n"
      "vldrb.8 q2, [r5], #16\n"
      "vmladava.s8 r2, q0, q2\n"
      "vldrb.8 q1, [r5], #16\n"
      "vmladava.s8 r4, q0, q1\n"
      "vldrb.8 q2, [r5], #16\n"
      "vmladava.s8 r6, q0, q2\n"
      "letp lr, 3b\n"
      "vldrw.32 q1, [r5], #16\n"
      "vmov q0[2], q0[0], r0, r4\n"
      "vmov q0[3], q0[1], r2, r6\n"
      "vqrdmulh.s32 q0, q0, q1\n"
      "vldrw.32 q2, [r5], #16\n" MVE_ROUND(ROUNDING)("q0", "q1")
      "vrshl.s32 q0, q0, q2\n"
      "vadd.i32 q0, q0, q4\n"
      "vmax.s32 q0, q0, q5\n"
      "vmin.s32 q0, q0, q6\n"
      "cmp r5, r7\n"
      "bne 1b\n"
      "vctp.32 r10\n"
      "vpst\n"
      "vstrbt.32 q0, [r1]\n"
      "vpop {d8-d13}\n"
      "pop {r4-r10, pc}\n" ::
          : "memory");
}

static void KERNEL(const void *params, const void *const *rows, void *out, void *scratch) {
  const KERNEL_t *p = params;
  KERNEL_part_t part = {.y = out, .x = rows[0], .w = p->w, .end = p->w + p->words, .taps = p->taps};
  (void)scratch;
  part.out_zp = p->out_zp, part.lo = p->lo, part.hi = p->hi, part.rest = ((p->oc - 1) & 3) + 1;
  KERNEL_fours(&part);
}
