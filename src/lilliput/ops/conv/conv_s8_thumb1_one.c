/* int8 convolution of an output row of one pixel without groups on Armv6-M, 4 channels at a time: linear layers,
   windows over whole rows. Weights are stored plus 128, since unsigned bytes load faster; sums start with -128 times
   that of the inputs. Records as in thumb1.h. */
#include "loops.h"
#include "rows.h"

typedef struct {
  const uint32_t *w; /* blocks of four channels: [taps]{four weights + 128}, four records; the last may overlap */
  int32_t iw, ic, oc, kh, kw, dilation, pad, in_zp;
  int32_t taps;   /* kh kw ic, filled up to a multiple of 4 */
  int32_t direct; /* whether the first row begins with all taps; otherwise they are gathered */
} conv_s8_thumb1_one_t;

typedef struct {
  const int8_t *end; /* of the inputs */
  uint32_t start;    /* of the sums */
  int32_t left;      /* channels */
  int32_t back;      /* bytes of weights that an iteration of half the length saves */
} conv_s8_thumb1_one_call_t;

#define CONV_S8_THUMB1_ONE_X "[sp, #0]"
#define CONV_S8_THUMB1_ONE_Y "[sp, #4]"
#define CONV_S8_THUMB1_ONE_START "[sp, #8]"
#define CONV_S8_THUMB1_ONE_LEFT "[sp, #12]"
#define CONV_S8_THUMB1_ONE_BACK "[sp, #16]"

/* Four taps: r0 -> x, r4 to r7 = 0 to 3, r1 -> weights, `weights` ahead for each; sums in r8 to r11. */
#define CONV_S8_THUMB1_ONE_TAP(index, weights) \
  "ldrsb r2, [r0, " index "]\n" \
  ".irp i, 0, 1, 2, 3\n" \
  "ldrb r3, [r1, #\\i + " weights "]\n" \
  "muls r3, r2, r3\n" \
  ".if \\i == 0\n" \
  "add r8, r3\n" \
  ".elseif \\i == 1\n" \
  "add r9, r3\n" \
  ".elseif \\i == 2\n" \
  "add r10, r3\n" \
  ".else\n" \
  "add r11, r3\n" \
  ".endif\n" \
  ".endr\n"
#define CONV_S8_THUMB1_ONE_FOUR(a, b, c, d) \
  CONV_S8_THUMB1_ONE_TAP("r4", a) CONV_S8_THUMB1_ONE_TAP("r5", b) CONV_S8_THUMB1_ONE_TAP("r6", c) \
  CONV_S8_THUMB1_ONE_TAP("r7", d) "adds r0, #4\n"

/* The sum v, in r2 to r5, becomes a result; r0, r6, r7, r8 are lost. */
#define CONV_S8_THUMB1_ONE_FINISH(v) \
  "ldmia r1!, {r6, r7}\n" \
  "adds " v ", " v ", r6\n" \
  "asrs r0, " v ", #31\n" \
  "bics " v ", r0\n" \
  "lsls r6, r7, #19\n" \
  "lsrs r6, r6, #19\n" \
  "lsrs r7, r7, #13\n" \
  "subs " v ", r7, " v "\n" \
  "asrs r0, " v ", #31\n" \
  "bics " v ", r0\n" \
  "ldmia r1!, {r7}\n" \
  "subs r7, r7, " v "\n" \
  "asrs r7, r7, #31\n" \
  "ldmia r1!, {r0}\n" \
  "ands r0, r7\n" \
  "mov r8, r0\n" \
  "movs r0, " v "\n" \
  "muls r0, r6, r0\n" \
  "lsrs r0, r0, #13\n" \
  "ldmia r1!, {r6, r7}\n" \
  "muls " v ", r6, " v "\n" \
  "adds " v ", " v ", r0\n" \
  "add " v ", r8\n" \
  "subs " v ", r7, " v "\n" \
  "asrs " v ", " v ", #24\n"

LILLIPUT_NAKED static void
conv_s8_thumb1_one_all(const int8_t *x LILLIPUT_UNUSED, const uint32_t *w LILLIPUT_UNUSED, int8_t *y LILLIPUT_UNUSED,
                       const conv_s8_thumb1_one_call_t *call LILLIPUT_UNUSED) {
  __asm__(".syntax unified\n"
          "push {r4-r7, lr}\n"
          "mov r4, r8\n"
          "mov r5, r9\n"
          "mov r6, r10\n"
          "mov r7, r11\n"
          "push {r4-r7}\n"
          "sub sp, #20\n"
          "ldmia r3!, {r4-r7}\n"
          "mov r12, r4\n"
          "str r0, " CONV_S8_THUMB1_ONE_X "\n"
          "str r2, " CONV_S8_THUMB1_ONE_Y "\n"
          "str r5, " CONV_S8_THUMB1_ONE_START "\n"
          "str r6, " CONV_S8_THUMB1_ONE_LEFT "\n"
          "str r7, " CONV_S8_THUMB1_ONE_BACK "\n"
          "1:\n"
          "ldr r2, " CONV_S8_THUMB1_ONE_START "\n"
          "mov r8, r2\n"
          "mov r9, r2\n"
          "mov r10, r2\n"
          "mov r11, r2\n"
          "ldr r0, " CONV_S8_THUMB1_ONE_X "\n"
          "movs r4, #0\n"
          "movs r5, #1\n"
          "movs r6, #2\n"
          "movs r7, #3\n"
          "ldr r2, " CONV_S8_THUMB1_ONE_BACK "\n"
          "subs r1, r1, r2\n"
          "cmp r2, #0\n"
          "bne 3f\n"
          "2:\n" CONV_S8_THUMB1_ONE_FOUR("0", "4", "8", "12")
          "3:\n" CONV_S8_THUMB1_ONE_FOUR("16", "20", "24", "28")
          "adds r1, #32\n"
          "cmp r0, r12\n"
          "bne 2b\n"
          "mov r2, r8\n"
          "mov r3, r9\n"
          "mov r4, r10\n"
          "mov r5, r11\n"
          CONV_S8_THUMB1_ONE_FINISH("r2") CONV_S8_THUMB1_ONE_FINISH("r3") CONV_S8_THUMB1_ONE_FINISH("r4")
          CONV_S8_THUMB1_ONE_FINISH("r5")
          "ldr r0, " CONV_S8_THUMB1_ONE_Y "\n"
          "strb r2, [r0]\n"
          "strb r3, [r0, #1]\n"
          "strb r4, [r0, #2]\n"
          "strb r5, [r0, #3]\n"
          "ldr r4, " CONV_S8_THUMB1_ONE_LEFT "\n"
          "subs r4, #4\n"
          "beq 5f\n"
          "adds r0, #4\n"
          "cmp r4, #4\n"
          "bhs 4f\n"
          "adds r0, r0, r4\n" /* a block of less than four channels begins earlier */
          "subs r0, #4\n"
          "movs r4, #4\n"
          "4:\n"
          "str r0, " CONV_S8_THUMB1_ONE_Y "\n"
          "str r4, " CONV_S8_THUMB1_ONE_LEFT "\n"
          "b 1b\n"
          "5:\n"
          "add sp, #20\n"
          "pop {r4-r7}\n"
          "mov r8, r4\n"
          "mov r9, r5\n"
          "mov r10, r6\n"
          "mov r11, r7\n"
          "pop {r4-r7, pc}\n");
}

/* The window [kh][kw][ic], zero points outside the rows, then zeros. */
static void conv_s8_thumb1_one_gather(const conv_s8_thumb1_one_t *p, const void *const *rows, int8_t *to) {
  int8_t *const end = to + p->taps;
  for (int32_t ky = 0; ky < p->kh; ky++) {
    for (int32_t kx = 0, ix = -p->pad; kx < p->kw; kx++, ix += p->dilation) {
      const int8_t zero_point = (int8_t)p->in_zp;
      const int inside = ix >= 0 && ix < p->iw;
      const int8_t *x = inside ? (const int8_t *)rows[ky] + ix * p->ic : &zero_point;
      LILLIPUT_ROLLED
      for (int32_t c = p->ic; c > 0; c--, x += inside) *to++ = *x;
    }
  }
  while (to != end) *to++ = 0;
}

static void conv_s8_thumb1_one(const void *params, const void *const *rows, void *y, void *scratch) {
  const conv_s8_thumb1_one_t *p = params;
  const int8_t *const x = p->direct ? rows[0] : scratch;
  conv_s8_thumb1_one_call_t call = {x + p->taps, 0u, p->oc, 4 * (p->taps & 4)};
  if (!p->direct) conv_s8_thumb1_one_gather(p, rows, scratch);
  LILLIPUT_ROLLED
  for (int32_t i = 0; i < p->taps; i++) call.start -= 128u * (uint32_t)x[i];
  conv_s8_thumb1_one_all(x, p->w, y, &call);
}
