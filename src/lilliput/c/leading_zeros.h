/* How many zero bits lie above the highest one, without a branch on data. */
#ifndef LILLIPUT_LEADING_ZEROS_H
#define LILLIPUT_LEADING_ZEROS_H
#include "base.h"

/* x > 0. */
LILLIPUT_INLINE int32_t leading_zeros(uint32_t x) {
  int32_t zeros = 0;
  for (int32_t step = 16; step > 0; step >>= 1) {
    const int32_t empty = x >> (32 - step) == 0 ? step : 0;
    x <<= empty;
    zeros += empty;
  }
  return zeros;
}

#endif
