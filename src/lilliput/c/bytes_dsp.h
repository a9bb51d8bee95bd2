/* Four int8 in a word, for cores with the DSP extension. */
#ifndef LILLIPUT_BYTES_DSP_H
#define LILLIPUT_BYTES_DSP_H
#include "base.h"

typedef struct {
  uint32_t word;
} __attribute__((packed, may_alias)) bytes_dsp_t; /* at any address */

LILLIPUT_INLINE uint32_t bytes_load(const int8_t *x) { return ((const bytes_dsp_t *)(const void *)x)->word; }
LILLIPUT_INLINE void bytes_store(int8_t *y, uint32_t bytes) { ((bytes_dsp_t *)(void *)y)->word = bytes; }

/* Add bytes 0 and 2, and 1 and 3, to two int16. */
LILLIPUT_INLINE uint32_t bytes_add_even(uint32_t sums, uint32_t bytes) {
  uint32_t result;
  __asm__("sxtab16 %0, %1, %2" : "=r"(result) : "r"(sums), "r"(bytes));
  return result;
}
LILLIPUT_INLINE uint32_t bytes_add_odd(uint32_t sums, uint32_t bytes) {
  uint32_t result;
  __asm__("sxtab16 %0, %1, %2, ror #8" : "=r"(result) : "r"(sums), "r"(bytes));
  return result;
}

/* The greater and the less of each two. */
LILLIPUT_INLINE uint32_t bytes_max(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc");
  return result;
}
LILLIPUT_INLINE uint32_t bytes_min(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(result) : "r"(a), "r"(b) : "cc");
  return result;
}

#endif
