/* Keys whose order as integers is the order of the numbers; `flip` -1 turns it around. A NaN is below everything. */
#ifndef LILLIPUT_ORDER_H
#define LILLIPUT_ORDER_H
#include "base.h"

LILLIPUT_INLINE int64_t key_int8_t(int8_t v, int64_t flip) { return v ^ flip; }
LILLIPUT_INLINE int64_t key_uint8_t(uint8_t v, int64_t flip) { return v ^ flip; }
LILLIPUT_INLINE int64_t key_int16_t(int16_t v, int64_t flip) { return v ^ flip; }
LILLIPUT_INLINE int64_t key_int32_t(int32_t v, int64_t flip) { return v ^ flip; }
LILLIPUT_INLINE int64_t key_int64_t(int64_t v, int64_t flip) { return v ^ flip; }

LILLIPUT_INLINE int64_t key_float(float v, int64_t flip) {
  const float one_zero = v + 0.0f; /* both zeros are equal */
  int32_t bits;
  if (v != v) return INT64_MIN;
  memcpy(&bits, &one_zero, sizeof bits);
  return (bits < 0 ? bits ^ INT32_MAX : bits) ^ flip;
}

#endif
