/* float32 numbers taken apart and put together by their bits. */
#ifndef LILLIPUT_BITS_F32_H
#define LILLIPUT_BITS_F32_H
#include "base.h"

LILLIPUT_INLINE uint32_t bits_of(float x) {
  union {
    float value;
    uint32_t bits;
  } both;
  both.value = x;
  return both.bits;
}

LILLIPUT_INLINE float from_bits(uint32_t bits) {
  union {
    uint32_t bits;
    float value;
  } both;
  both.bits = bits;
  return both.value;
}

LILLIPUT_INLINE float not_a_number(void) { return from_bits(0x7fc00000u); }
LILLIPUT_INLINE float infinity(void) { return from_bits(0x7f800000u); }
LILLIPUT_INLINE float abs_of(float x) { return from_bits(bits_of(x) & 0x7fffffffu); }

/* The size of one number with the sign of another. */
LILLIPUT_INLINE float signed_as(float size, float sign) {
  return from_bits((bits_of(size) & 0x7fffffffu) | (bits_of(sign) & 0x80000000u));
}

#endif
