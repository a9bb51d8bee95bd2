/* float32 to and from integers. Reals are cut towards zero and saturate, NaN gives zero. */
#ifndef LILLIPUT_CONVERSIONS_H
#define LILLIPUT_CONVERSIONS_H
#include "base.h"

LILLIPUT_INLINE int32_t whole_int32(float x) {
  if (x != x) return 0;
  return x >= 0x1p31f ? INT32_MAX : x < -0x1p31f ? INT32_MIN : (int32_t)x;
}
LILLIPUT_INLINE int64_t whole_int64(float x) {
  if (x != x) return 0;
  return x >= 0x1p63f ? INT64_MAX : x < -0x1p63f ? INT64_MIN : (int64_t)x;
}
LILLIPUT_INLINE int32_t whole_int16(float x) { return clamp_i32(whole_int32(x), INT16_MIN, INT16_MAX); }
LILLIPUT_INLINE int32_t whole_int8(float x) { return clamp_i32(whole_int32(x), INT8_MIN, INT8_MAX); }
LILLIPUT_INLINE int32_t whole_uint8(float x) { return clamp_i32(whole_int32(x), 0, UINT8_MAX); }
LILLIPUT_INLINE int nonzero_float(float x) { return !(x == 0.0f); }

/* An infinity less itself is NaN. */
LILLIPUT_INLINE int is_infinite(float x) { return x - x != x - x && x == x; }
LILLIPUT_INLINE int is_positive_infinity(float x) { return is_infinite(x) && x > 0.0f; }
LILLIPUT_INLINE int is_negative_infinity(float x) { return is_infinite(x) && x < 0.0f; }
LILLIPUT_INLINE int is_nan(float x) { return x != x; }

#endif
