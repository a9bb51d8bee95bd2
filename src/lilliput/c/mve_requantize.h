/* Four int32 -> int8 range at a time with MVE, exactly as requantize.h: the Arm VQRDMULH is doubling_high_mul, and VRSHL to
   the right rounds halves up, so that 1 is taken from negative numbers before: halves away from zero. */
#ifndef LILLIPUT_MVE_REQUANTIZE_H
#define LILLIPUT_MVE_REQUANTIZE_H
#include <arm_mve.h>
#include "base.h"
#include "loops.h"

/* x m / 2^31 / 2^n for n >= 1; minus_n = -n. */
LILLIPUT_INLINE int32x4_t mve_scale_right(int32x4_t x, int32_t m, int32_t minus_n) {
  const int32x4_t h = vqrdmulhq_n_s32(x, m);
  return vrshlq_n_s32(vaddq_s32(h, vshrq_n_s32(h, 31)), minus_n);
}

/* The same where numbers below zero need not be exact, only stay below or at zero. */
LILLIPUT_INLINE int32x4_t mve_scale_right_relu(int32x4_t x, int32_t m, int32_t minus_n) {
  return vrshlq_n_s32(vqrdmulhq_n_s32(x, m), minus_n);
}

/* mve_scale_right with a multiplier and a shift for each lane. */
LILLIPUT_INLINE int32x4_t mve_scale_lanes(int32x4_t x, int32x4_t m, int32x4_t minus_n) {
  const int32x4_t h = vqrdmulhq_s32(x, m);
  return vrshlq_s32(vaddq_s32(h, vshrq_n_s32(h, 31)), minus_n);
}

#endif
