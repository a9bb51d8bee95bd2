/* 1 / (1 + a) in fixed point, exactly TFLM's. */
#ifndef LILLIPUT_RECIPROCAL_H
#define LILLIPUT_RECIPROCAL_H
#include "requantize.h"

/* 1 / (1 + a) in Q0.31 from (1 + a) / 2 in Q0.31: three Newton steps in Q2.29. */
LILLIPUT_INLINE int32_t reciprocal_one_plus(int32_t half) {
  int32_t x = 1515870810 + doubling_high_mul(half, -1010580540);
  for (int i = 0; i < 3; i++) {
    x += 4 * doubling_high_mul(x, ((int32_t)1 << 29) - doubling_high_mul(half, x));
  }
  return x >= (int32_t)1 << 30 ? INT32_MAX : 2 * x;
}

#endif
