/* int8 convolution of one output row without groups on Armv6-M, 4 channels x 3 pixels at a time: see thumb1.h. A sum of
   all taps fits 21 bits (proved offline). SIGNS is `bent` where negative accumulators do not all clamp. */
#include "thumb1.h"

typedef thumb1_conv_t KERNEL_t;

static void KERNEL_put(void *state, const int8_t *a, const int8_t *b, const int8_t *c, int32_t n) {
  thumb1_run_t *run = state;
  run->n = n;
  thumb1_pack(a, b, c, run);
}

LILLIPUT_NOINLINE static void KERNEL_gather(const thumb1_conv_t *p, const void *const *rows, int32_t ox, int32_t count,
                                            uint32_t *x) {
  uint32_t *const end = x + 2 + 2 * p->taps;
  thumb1_run_t run = {x + 2, 0u, 0u, 0};
  thumb1_windows(KERNEL_put, &run, p, rows, ox, count);
  for (; run.to != end; run.to++) *run.to = 0u;
  thumb1_start(&run, x);
}

/* All channels of the pixels in x. */
LILLIPUT_NAKED static void KERNEL_tile(const uint32_t *x LILLIPUT_UNUSED,
                                                               const uint32_t *w LILLIPUT_UNUSED,
                                                               int8_t *y LILLIPUT_UNUSED,
                                                               const thumb1_call_t *call LILLIPUT_UNUSED) {
  __asm__(THUMB1_ENTER
          "1:\n"
          "ldr r0, " THUMB1_X "\n" THUMB1_SUMS
          "mov r12, r0\n"
          "mov r0, sp\n"
          "5:\n" THUMB1_DECODE
          "mov r8, r0\n" THUMB1_CLAMP THUMB1_SCALE(SIGNS) THUMB1_STORE
          "mov r0, r8\n"
          "cmp r0, r12\n"
          "bne 5b\n" THUMB1_NEXT THUMB1_POP);
}

static void KERNEL(const void *params, const void *const *rows, void *out, void *scratch) {
  const thumb1_conv_t *p = params;
  int8_t *y = out;
  uint32_t *const x = scratch;
  for (int32_t ox = 0; ox < p->ow; ox += 3, y += 3 * p->oc) {
    const int32_t count = min_i32(p->ow - ox, 3);
    const thumb1_call_t call = thumb1_call(p, count, x + 2 + 2 * p->taps);
    KERNEL_gather(p, rows, ox, count, x);
    KERNEL_tile(x, p->w, y, &call);
  }
}
