/* The steps of a sequence that recurrent kernels walk over. */
#ifndef LILLIPUT_STEPS_H
#define LILLIPUT_STEPS_H
#include "base.h"

/* How many steps a sequence of this length has: within 0..t, whatever the length says. */
LILLIPUT_INLINE int32_t steps_of(int32_t length, int32_t t) { return clamp_i32(length, 0, t); }

/* Where the k-th step lies. */
LILLIPUT_INLINE int32_t step_at(int32_t k, int32_t steps, int32_t reverse) { return reverse ? steps - 1 - k : k; }

#endif
