/* int8 depthwise convolution by 3 x 3 windows with MVE: eight channels of two pixels at a time. Products of int8 fit
   16 bits, and so do sums of two of them unless both weights are -128: taps go in pairs, and every pair is widened once. */
#ifndef LILLIPUT_MVE_DEPTHWISE_H
#define LILLIPUT_MVE_DEPTHWISE_H
#include "mve_copy.h"
#include "mve_rounding.h"
#include "rows.h"

enum { MVE_DEPTHWISE_WORDS = 42, MVE_DEPTHWISE_LANES = 8, MVE_DEPTHWISE_COLUMNS = 20 };

typedef struct {
  /* [oc / 8]{bias[8], int8 [9][8], mult[8], shift[8]}; of the int32, even channels come before odd ones. */
  const int32_t *w;
  int32_t iw, ow, oc, stride, pad;
  int32_t in_zp, out_zp, lo, hi;
} mve_depthwise_t;

/* What blocks of channels are computed from: two pixels whose columns overlap. The assembly reads this by offsets. */
typedef struct {
  const int32_t *w;
  int8_t *y0, *y1;
  const uint32_t *columns; /* [3][3 + stride] addresses; the second pixel begins `stride` columns later */
  int32_t channel, blocks, out_zp; /* the first of 8 blocks channels */
  int32_t lo, hi;
} mve_depthwise_part_t;

typedef void mve_depthwise_block_t(const mve_depthwise_part_t *part);

/* The columns of a row, from r0 on; the table of them is as long as the last word says. */
#define MVE_DW_ROW_step_1 "ldm r8!, {r0-r3}\nadd r0, r9\nadd r1, r9\nadd r2, r9\nadd r3, r9\n"
#define MVE_DW_ROW_step_2 "ldm r8!, {r0-r4}\nadd r0, r9\nadd r1, r9\nadd r2, r9\nadd r3, r9\nadd r4, r9\n"
#define MVE_DW_BACK_step_1 "subs r8, #48\n"
#define MVE_DW_BACK_step_2 "subs r8, #60\n"
#define MVE_DW_SECOND_step_1 "r1", "r2", "r3"
#define MVE_DW_SECOND_step_2 "r2", "r3", "r4"

/* The weights of a tap are in q0. The first of two taps gives products, the second adds its own and widens the sums:
   even channels and odd ones. The ninth is alone. */
#define MVE_DW_FIRST(x, pair, even, odd) \
  "vldrb.s16 q1, [" x "]\n"              \
  "vmul.i16 " pair ", q1, q0\n"
#define MVE_DW_SECOND(x, pair, even, odd)  \
  "vldrb.s16 q1, [" x "]\n"                \
  "vmul.i16 q1, q1, q0\n"                  \
  "vadd.i16 " pair ", " pair ", q1\n"      \
  "vmovlb.s16 q1, " pair "\n"              \
  "vadd.i32 " even ", " even ", q1\n"      \
  "vmovlt.s16 q1, " pair "\n"              \
  "vadd.i32 " odd ", " odd ", q1\n"
#define MVE_DW_NINTH(x, pair, even, odd)   \
  "vldrb.s16 q1, [" x "]\n"                \
  "vmullb.s16 " pair ", q1, q0\n"          \
  "vadd.i32 " even ", " even ", " pair "\n" \
  "vmullt.s16 " pair ", q1, q0\n"          \
  "vadd.i32 " odd ", " odd ", " pair "\n"

#define MVE_DW_TAP_TWO(KIND, x0, x1) \
  "vldrb.s16 q0, [r5], #8\n" KIND(x0, "q2", "q4", "q5") KIND(x1, "q3", "q6", "q7")
#define MVE_DW_TAP_ONE(KIND, x0, x1) "vldrb.s16 q0, [r5], #8\n" KIND(x0, "q2", "q4", "q5")

#define MVE_DW_TAPS(TAP, ROW, b0, b1, b2)                                                             \
  ROW TAP(MVE_DW_FIRST, "r0", b0) TAP(MVE_DW_SECOND, "r1", b1) TAP(MVE_DW_FIRST, "r2", b2)            \
  ROW TAP(MVE_DW_SECOND, "r0", b0) TAP(MVE_DW_FIRST, "r1", b1) TAP(MVE_DW_SECOND, "r2", b2)           \
  ROW TAP(MVE_DW_FIRST, "r0", b0) TAP(MVE_DW_SECOND, "r1", b1) TAP(MVE_DW_NINTH, "r2", b2)
#define MVE_DW_TAPS_OF(TAP, ROW, second) MVE_DW_TAPS(TAP, ROW, second)

#define MVE_DW_BIAS_TWO "vmov q6, q4\nvmov q7, q5\n"
#define MVE_DW_BIAS_ONE ""

/* By the multipliers, then by the shifts at r5. */
#define MVE_DW_SCALE_TWO(a, b, ROUND) \
  "vldrw.32 q0, [r5], #16\n"          \
  "vqrdmulh.s32 " a ", " a ", q0\n"   \
  "vqrdmulh.s32 " b ", " b ", q0\n" ROUND(a, "q1") ROUND(b, "q1")
#define MVE_DW_SCALE_ONE(a, b, ROUND) "vldrw.32 q0, [r5], #16\nvqrdmulh.s32 " a ", " a ", q0\n" ROUND(a, "q1")
#define MVE_DW_SHIFT_TWO(a, b) \
  "vldrw.32 q0, [r5], #16\n"   \
  "vrshl.s32 " a ", " a ", q0\n" \
  "vrshl.s32 " b ", " b ", q0\n"
#define MVE_DW_SHIFT_ONE(a, b) "vldrw.32 q0, [r5], #16\nvrshl.s32 " a ", " a ", q0\n"

/* Eight results from even and odd channels, narrowed; q2 and q3 are the bounds. */
#define MVE_DW_PUT(to, y, even, odd) \
  "vqmovnb.s32 " to ", " even "\n"   \
  "vqmovnt.s32 " to ", " odd "\n"    \
  "vqadd.s16 " to ", " to ", lr\n"   \
  "vmax.s16 " to ", " to ", q2\n"    \
  "vmin.s16 " to ", " to ", q3\n"    \
  "vstrb.16 " to ", [" y "], #8\n"
#define MVE_DW_PUT_TWO MVE_DW_PUT("q0", "r6", "q4", "q5") MVE_DW_PUT("q1", "r7", "q6", "q7")
#define MVE_DW_PUT_ONE MVE_DW_PUT("q0", "r6", "q4", "q5")

/* `pixels` is ONE or TWO, `step` the columns between them, step_1 or step_2; `rounding` that of mve_rounding.h. */
#define MVE_DW_BLOCKS(pixels, step, rounding)                                                      \
  __asm__ volatile(                                                                                \
      ".syntax unified\n"                                                                          \
      "push {r4-r11, lr}\n"                                                                        \
      "vpush {d8-d15}\n"                                                                           \
      "ldrd r1, r2, [r0, #28]\n"                                                                   \
      "push {r1, r2}\n"                                                                            \
      "ldm r0, {r5-r10, lr}\n"                                                                     \
      "1: vldrw.32 q4, [r5], #16\n"                                                                \
      "vldrw.32 q5, [r5], #16\n"                                                                   \
      MVE_DW_BIAS_##pixels                                                                         \
      MVE_DW_TAPS_OF(MVE_DW_TAP_##pixels, MVE_DW_ROW_##step, MVE_DW_SECOND_##step)                 \
      MVE_DW_SCALE_##pixels("q4", "q6", MVE_ROUND(rounding))                                       \
      MVE_DW_SCALE_##pixels("q5", "q7", MVE_ROUND(rounding))                                       \
      MVE_DW_SHIFT_##pixels("q4", "q6") MVE_DW_SHIFT_##pixels("q5", "q7")                          \
      "ldrd r0, r1, [sp]\n"                                                                        \
      "vdup.16 q2, r0\n"                                                                           \
      "vdup.16 q3, r1\n"                                                                           \
      MVE_DW_PUT_##pixels                                                                          \
      MVE_DW_BACK_##step                                                                           \
      "add r9, #8\n"                                                                               \
      "subs r10, #1\n"                                                                             \
      "bne 1b\n"                                                                                   \
      "add sp, #8\n"                                                                               \
      "vpop {d8-d15}\n"                                                                            \
      "pop {r4-r11, pc}\n" ::: "memory")

/* The addresses of four columns of a row, the first at `ix`. */
LILLIPUT_INLINE uint32x4_t mve_depthwise_four(const mve_depthwise_t *p, const void *row, int32_t ix,
                                              const int8_t *padding) {
  const uint32x4_t columns = vaddq_n_u32(vidupq_n_u32(0, 1), (uint32_t)ix);
  const uint32x4_t addresses = vaddq_n_u32(vmulq_n_u32(columns, (uint32_t)p->oc), (uint32_t)(uintptr_t)row);
  const mve_pred16_t inside = vcmphiq_u32(vdupq_n_u32((uint32_t)p->iw), columns);
  return vpselq_u32(addresses, vdupq_n_u32((uint32_t)(uintptr_t)padding), inside);
}

/* Where the columns of two pixels are, the first at `left`. Those behind the last of a row are overwritten by the next
   row's. */
LILLIPUT_INLINE void mve_depthwise_find(const mve_depthwise_t *p, const void *const *rows, int32_t left,
                                        const int8_t *padding, uint32_t *columns) {
  for (int32_t ky = 0; ky < 3; ky++, columns += 3 + p->stride) {
    vst1q_u32(columns, mve_depthwise_four(p, rows[ky], left, padding));
    if (p->stride == 2) vst1q_u32(columns + 4, mve_depthwise_four(p, rows[ky], left + 4, padding));
  }
}

/* All channels; where eight does not divide them, the last eight overlap those before. */
LILLIPUT_INLINE void mve_depthwise_pixels(mve_depthwise_block_t *block, const mve_depthwise_t *p,
                                          mve_depthwise_part_t *part) {
  block(part);
  if (p->oc % MVE_DEPTHWISE_LANES != 0) {
    mve_depthwise_part_t end = *part;
    end.w += part->blocks * MVE_DEPTHWISE_WORDS;
    end.blocks = 1;
    end.channel = p->oc - MVE_DEPTHWISE_LANES;
    end.y0 += end.channel, end.y1 += end.channel;
    block(&end);
  }
}

LILLIPUT_INLINE void mve_depthwise_row(mve_depthwise_block_t *two, mve_depthwise_block_t *one,
                                       const mve_depthwise_t *p, const void *const *rows, int8_t *y, int8_t *scratch) {
  uint32_t columns[MVE_DEPTHWISE_COLUMNS];
  mve_depthwise_part_t part = {.w = p->w, .y0 = y, .columns = columns, .blocks = p->oc / MVE_DEPTHWISE_LANES};
  part.out_zp = p->out_zp, part.lo = p->lo, part.hi = p->hi;
  mve_fill(scratch, p->in_zp, p->oc);
  for (int32_t ox = 0, left = -p->pad; ox < p->ow; ox += 2, left += 2 * p->stride, part.y0 += 2 * p->oc) {
    mve_depthwise_find(p, rows, left, scratch, columns);
    part.y1 = part.y0 + p->oc;
    if (ox + 1 < p->ow) { /* not one call of either, which would be indirect */
      mve_depthwise_pixels(two, p, &part);
    } else {
      mve_depthwise_pixels(one, p, &part);
    }
  }
}

#endif
