/* int8 convolution of one output row without groups on Armv6-M, 4 channels x 3 pixels at a time, where sums of all taps
   may need more than 21 bits, or widths more than 19: see thumb1.h. The taps come in parts whose sums fit (proved
   offline); a part is computed as soon as it has been gathered, and all sums of the three pixels are kept until the
   last has been added. */
#include "thumb1.h"

typedef thumb1_conv_t conv_s8_thumb1_deep_t; /* the weights of all blocks come part by part, then all records */

typedef struct {
  const uint32_t *end; /* of the words of a part */
  int32_t blocks;
  int32_t more; /* 0: the pixels are one */
} conv_s8_thumb1_deep_call_t;

/* Adds the sums of one part, in x, for all channels. */
LILLIPUT_NAKED static void
conv_s8_thumb1_deep_add(const uint32_t *x LILLIPUT_UNUSED, const uint32_t *w LILLIPUT_UNUSED,
                        int32_t *sums LILLIPUT_UNUSED, const conv_s8_thumb1_deep_call_t *call LILLIPUT_UNUSED) {
  __asm__(THUMB1_PUSH
          "str r0, " THUMB1_X "\n"
          "str r2, " THUMB1_Y "\n"
          "ldmia r3!, {r4-r6}\n"
          "str r4, " THUMB1_END "\n"
          "str r5, " THUMB1_LEFT "\n"
          "str r6, " THUMB1_ONE "\n"
          "movs r4, #0\n"
          "str r4, " THUMB1_BACK "\n"
          "1:\n"
          "ldr r0, " THUMB1_X "\n" THUMB1_SUMS
          "mov r12, r0\n"
          "mov r0, sp\n"
          "ldr r6, " THUMB1_Y "\n"
          "5:\n" THUMB1_DECODE
          "ldr r5, [r6]\n"
          "adds r2, r2, r5\n"
          "ldr r5, [r6, #4]\n"
          "adds r3, r3, r5\n"
          "ldr r5, [r6, #8]\n"
          "adds r4, r4, r5\n"
          "stmia r6!, {r2-r4}\n"
          "cmp r0, r12\n"
          "bne 5b\n"
          "str r6, " THUMB1_Y "\n"
          "ldr r4, " THUMB1_LEFT "\n"
          "subs r4, #1\n"
          "str r4, " THUMB1_LEFT "\n"
          "beq 6f\n"
          "b 1b\n"
          "6:\n" THUMB1_POP);
}

/* The results of all sums. */
LILLIPUT_NAKED static void
conv_s8_thumb1_deep_finish(const uint32_t *sums LILLIPUT_UNUSED, const uint32_t *records LILLIPUT_UNUSED,
                           int8_t *y LILLIPUT_UNUSED, const thumb1_call_t *call LILLIPUT_UNUSED) {
  __asm__(THUMB1_ENTER
          "1:\n"
          "mov r4, r0\n"
          "adds r4, #48\n"
          "mov r12, r4\n"
          "5:\n"
          "ldmia r0!, {r2-r4}\n"
          "mov r8, r0\n" THUMB1_CLAMP_WIDE THUMB1_SCALE(bent) THUMB1_STORE
          "mov r0, r8\n"
          "cmp r0, r12\n"
          "bne 5b\n" THUMB1_NEXT THUMB1_POP);
}

typedef struct {
  thumb1_run_t run;
  uint32_t *x;
  const uint32_t *w;
  int32_t *sums;
  conv_s8_thumb1_deep_call_t call;
  int32_t taps, left; /* of the part */
} conv_s8_thumb1_deep_part_t;

static void conv_s8_thumb1_deep_next(conv_s8_thumb1_deep_part_t *part) {
  thumb1_start(&part->run, part->x);
  conv_s8_thumb1_deep_add(part->x, part->w, part->sums, &part->call);
  part->w += part->call.blocks * part->taps;
  part->run.to = part->x + 2;
  part->run.one = part->run.two = 0u;
  part->left = part->taps;
}

static void conv_s8_thumb1_deep_put(void *state, const int8_t *a, const int8_t *b, const int8_t *c, int32_t n) {
  conv_s8_thumb1_deep_part_t *part = state;
  while (n > 0) {
    const int32_t now = min_i32(n, part->left);
    part->run.n = now;
    thumb1_pack(a, b, c, &part->run);
    a += now, b += now, c += now, n -= now;
    part->left -= now;
    if (part->left == 0) conv_s8_thumb1_deep_next(part);
  }
}

/* All sums of the windows of `count` pixels from `ox` on; returns the records. */
LILLIPUT_NOINLINE static const uint32_t *conv_s8_thumb1_deep_sums(const thumb1_conv_t *p, const void *const *rows,
                                                                  int32_t ox, int32_t count, int32_t *sums,
                                                                  int32_t blocks) {
  uint32_t *const x = (uint32_t *)sums + 12 * blocks, *const end = x + 2 + 2 * p->taps;
  conv_s8_thumb1_deep_part_t part = {{x + 2, 0u, 0u, 0}, x, p->w, sums, {end, blocks, count - 1}, p->taps, p->taps};
  LILLIPUT_ROLLED
  for (int32_t i = 0; i < 12 * blocks; i++) sums[i] = 0;
  thumb1_windows(conv_s8_thumb1_deep_put, &part, p, rows, ox, count);
  if (part.left < p->taps) {
    for (; part.run.to != end; part.run.to++) *part.run.to = 0u;
    conv_s8_thumb1_deep_next(&part);
  }
  return part.w;
}

static void conv_s8_thumb1_deep(const void *params, const void *const *rows, void *out, void *scratch) {
  const thumb1_conv_t *p = params;
  int8_t *y = out;
  uint32_t *const sums = scratch;
  for (int32_t ox = 0; ox < p->ow; ox += 3, y += 3 * p->oc) {
    const int32_t count = min_i32(p->ow - ox, 3);
    const uint32_t *const records =
        conv_s8_thumb1_deep_sums(p, rows, ox, count, (int32_t *)scratch, (p->oc + 3) >> 2);
    const thumb1_call_t call = thumb1_call(p, count, NULL);
    conv_s8_thumb1_deep_finish(sums, records, y, &call);
  }
}
