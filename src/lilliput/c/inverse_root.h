/* The inverse of a square root of 62 bits, from divisions of 32 bits only. */
#ifndef LILLIPUT_INVERSE_ROOT_H
#define LILLIPUT_INVERSE_ROOT_H
#include "base.h"

/* The largest integer whose square is at most w, for w >= 2^62. Zimmermann, Karatsuba Square Root (1999), one step: the
   upper half of the root digit by digit, the lower one by a division, which is one too large at most. */
LILLIPUT_INLINE uint32_t root_u64(uint64_t w) {
  uint32_t rest = (uint32_t)(w >> 32), half = 0;
  for (uint32_t bit = (uint32_t)1 << 30; bit != 0; bit >>= 2) {
    const uint32_t next = half + bit;
    half >>= 1;
    if (rest >= next) {
      rest -= next;
      half += bit;
    }
  }
  const uint32_t low = ((rest << 15) | (uint32_t)(w >> 17 & 0x7fff)) / half;
  uint32_t root = (half << 16) + (low > 0xffff ? 0xffff : low);
  if ((uint64_t)root * root > w) root--;
  return root;
}

/* The next digit of 16 bits of a quotient: (rest 2^16) / v for v >= 2^31 and rest < v; Knuth's algorithm D. */
LILLIPUT_INLINE uint32_t next_digit(uint32_t rest, uint32_t v) {
  const uint32_t high = v >> 16, low = v & 0xffff;
  uint32_t digit = rest / high, left = rest - digit * high;
  while (left <= 0xffff && (digit > 0xffff || digit * low > left << 16)) {
    digit--;
    left += high;
  }
  return digit;
}

/* 2^62 / v, rounded down, for v >= 2^31. */
LILLIPUT_INLINE uint32_t inverse_u32(uint32_t v) {
  const uint32_t rest = (uint32_t)1 << 30, digit = next_digit(rest, v);
  return (digit << 16) + next_digit((rest << 16) - digit * v, v);
}

#endif
