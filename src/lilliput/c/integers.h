/* Functions of integers of any type, computed in 64 bits: compilers narrow what only its low bits are kept of. Results that
   leave the type wrap, division by zero gives zero. bool is 0 or 1. */
#ifndef LILLIPUT_INTEGERS_H
#define LILLIPUT_INTEGERS_H
#include "base.h"

LILLIPUT_INLINE int64_t same_integer(int64_t x) { return x; }
LILLIPUT_INLINE int64_t neg_integer(int64_t x) { return (int64_t)(0u - (uint64_t)x); }
LILLIPUT_INLINE int64_t abs_integer(int64_t x) { return x < 0 ? neg_integer(x) : x; }
LILLIPUT_INLINE int64_t sign_integer(int64_t x) { return (x > 0) - (x < 0); }
LILLIPUT_INLINE int64_t not_integer(int64_t x) { return ~x; }
LILLIPUT_INLINE int64_t not_bool(int64_t x) { return x == 0; }
LILLIPUT_INLINE int64_t nonzero_integer(int64_t x) { return x != 0; }

LILLIPUT_INLINE int64_t add_integers(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
LILLIPUT_INLINE int64_t sub_integers(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
LILLIPUT_INLINE int64_t mul_integers(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
LILLIPUT_INLINE int64_t max_integers(int64_t a, int64_t b) { return a > b ? a : b; }
LILLIPUT_INLINE int64_t min_integers(int64_t a, int64_t b) { return a < b ? a : b; }
LILLIPUT_INLINE int64_t and_integers(int64_t a, int64_t b) { return a & b; }
LILLIPUT_INLINE int64_t or_integers(int64_t a, int64_t b) { return a | b; }
LILLIPUT_INLINE int64_t xor_integers(int64_t a, int64_t b) { return a ^ b; }
LILLIPUT_INLINE int64_t equal_integers(int64_t a, int64_t b) { return a == b; }
LILLIPUT_INLINE int64_t not_equal_integers(int64_t a, int64_t b) { return a != b; }
LILLIPUT_INLINE int64_t less_integers(int64_t a, int64_t b) { return a < b; }
LILLIPUT_INLINE int64_t less_equal_integers(int64_t a, int64_t b) { return a <= b; }

/* Towards zero; the least integer by -1 stays what it is. */
LILLIPUT_INLINE int64_t div_integers(int64_t a, int64_t b) {
  return b == 0 ? 0 : b == -1 ? neg_integer(a) : a / b;
}

/* Has the sign of a. */
LILLIPUT_INLINE int64_t fmod_integers(int64_t a, int64_t b) { return b == 0 || b == -1 ? 0 : a % b; }

/* Has the sign of b. */
LILLIPUT_INLINE int64_t mod_integers(int64_t a, int64_t b) {
  const int64_t rest = fmod_integers(a, b);
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

/* Towards minus infinity. */
LILLIPUT_INLINE int64_t floor_div_integers(int64_t a, int64_t b) {
  const int64_t rest = fmod_integers(a, b);
  return div_integers(a, b) - (rest != 0 && (rest < 0) != (b < 0));
}

/* By squaring; negative exponents give the quotient 1 / a^-b, which is whole for 1 and -1 only, else zero. */
LILLIPUT_INLINE int64_t pow_integers(int64_t a, int64_t b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? ((b & 1) != 0 ? -1 : 1) : 0;
  uint64_t result = 1, base = (uint64_t)a;
  for (; b > 0; b >>= 1, base *= base) {
    if ((b & 1) != 0) result *= base;
  }
  return (int64_t)result;
}

/* Of unsigned integers of at most 32 bits; all bits are gone from 32 on. */
LILLIPUT_INLINE int64_t shift_left(int64_t a, int64_t b) { return b < 32 ? (int64_t)((uint64_t)a << b) : 0; }
LILLIPUT_INLINE int64_t shift_right(int64_t a, int64_t b) { return b < 32 ? a >> b : 0; }

LILLIPUT_INLINE int64_t squared_difference_integers(int64_t a, int64_t b) {
  return mul_integers(sub_integers(a, b), sub_integers(a, b));
}

#endif
