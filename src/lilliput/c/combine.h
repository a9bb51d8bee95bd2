/* What a scattered element does to the one that is there. Integers wrap; a NaN wins against any number. */
#ifndef LILLIPUT_COMBINE_H
#define LILLIPUT_COMBINE_H
#include "base.h"

LILLIPUT_INLINE float combine_add_float(float a, float b) { return a + b; }
LILLIPUT_INLINE float combine_mul_float(float a, float b) { return a * b; }
LILLIPUT_INLINE float combine_max_float(float a, float b) { return a != a || a >= b ? a : b; }
LILLIPUT_INLINE float combine_min_float(float a, float b) { return a != a || a <= b ? a : b; }

LILLIPUT_INLINE int32_t combine_add_int32_t(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }
LILLIPUT_INLINE int32_t combine_mul_int32_t(int32_t a, int32_t b) { return (int32_t)((uint32_t)a * (uint32_t)b); }
LILLIPUT_INLINE int32_t combine_max_int32_t(int32_t a, int32_t b) { return max_i32(a, b); }
LILLIPUT_INLINE int32_t combine_min_int32_t(int32_t a, int32_t b) { return min_i32(a, b); }

LILLIPUT_INLINE int64_t combine_add_int64_t(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
LILLIPUT_INLINE int64_t combine_mul_int64_t(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
LILLIPUT_INLINE int64_t combine_max_int64_t(int64_t a, int64_t b) { return a > b ? a : b; }
LILLIPUT_INLINE int64_t combine_min_int64_t(int64_t a, int64_t b) { return a < b ? a : b; }

#endif
