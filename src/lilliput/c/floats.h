/* Functions of two float32 numbers that are one operation, and comparisons: NaN is unequal to everything. */
#ifndef LILLIPUT_FLOATS_H
#define LILLIPUT_FLOATS_H
#include "base.h"

LILLIPUT_INLINE float reciprocal_of(float x) { return 1.0f / x; }
LILLIPUT_INLINE float div_floats(float a, float b) { return a / b; }
LILLIPUT_INLINE float squared_difference_floats(float a, float b) { return (a - b) * (a - b); }
LILLIPUT_INLINE float prelu_floats(float x, float slope) { return x < 0.0f ? slope * x : x; }
LILLIPUT_INLINE int equal_floats(float a, float b) { return a == b; }
LILLIPUT_INLINE int not_equal_floats(float a, float b) { return a != b; }
LILLIPUT_INLINE int less_floats(float a, float b) { return a < b; }
LILLIPUT_INLINE int less_equal_floats(float a, float b) { return a <= b; }

#endif
