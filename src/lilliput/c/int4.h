/* Signed integers of four bits, two to a byte, the low half first. */
#ifndef LILLIPUT_INT4_H
#define LILLIPUT_INT4_H
#include "base.h"

/* The lowest four bits as a number from -8 to 7. */
LILLIPUT_INLINE int32_t low_int4(uint32_t v) { return (int32_t)(v << 28) >> 28; }

/* Number k of an array. */
LILLIPUT_INLINE int32_t int4_at(const uint8_t *w, int32_t k) { return low_int4((uint32_t)w[k >> 1] >> (4 * (k & 1))); }

#endif
