/* Copies and fills of bytes with MVE, 16 at a time; the compiler makes no calls of them. */
#ifndef LILLIPUT_MVE_COPY_H
#define LILLIPUT_MVE_COPY_H
#include <arm_mve.h>
#include "base.h"
#include "loops.h"

LILLIPUT_INLINE void mve_copy(int8_t *to, const int8_t *from, int32_t n) {
  LILLIPUT_ROLLED for (; n > 0; n -= 16, to += 16, from += 16) {
    const mve_pred16_t p = vctp8q((uint32_t)n);
    vstrbq_p_s8(to, vldrbq_z_s8(from, p), p);
  }
}

/* `pieces` of n bytes, each `gap` and `step` bytes behind the one before. */
LILLIPUT_INLINE void mve_copy_pieces(int8_t *to, int32_t gap, const int8_t *from, int32_t step, int32_t pieces, int32_t n) {
  for (; n > 0; n -= 16, to += 16, from += 16) {
    const mve_pred16_t p = vctp8q((uint32_t)n);
    const int8_t *x = from;
    int8_t *y = to;
    LILLIPUT_ROLLED for (int32_t i = pieces; i > 0; i--, x += step, y += gap) vstrbq_p_s8(y, vldrbq_z_s8(x, p), p);
  }
}

LILLIPUT_INLINE void mve_fill(int8_t *to, int32_t value, int32_t n) {
  const int8x16_t v = vdupq_n_s8((int8_t)value);
  LILLIPUT_ROLLED for (; n > 0; n -= 16, to += 16) vstrbq_p_s8(to, v, vctp8q((uint32_t)n));
}

#endif
