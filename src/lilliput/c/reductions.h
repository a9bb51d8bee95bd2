/* What reductions do with each value: start(first), step(accumulator, value), finish(accumulator).
   Macros, so that one text serves every type; integer accumulators are unsigned where they wrap. */
#ifndef LILLIPUT_REDUCTIONS_H
#define LILLIPUT_REDUCTIONS_H
#include "logarithm_f32.h"

/* Four nested loops of (count, stride in elements), outermost first. */
enum { REDUCE_LOOPS = 4 };

#define sum_start(x) 0
#define sum_step(a, x, A) ((a) + (A)(x))
#define sum_finish(a) (a)

#define prod_start(x) 1
#define prod_step(a, x, A) ((a) * (A)(x))
#define prod_finish(a) (a)

#define absolutes_start(x) 0
#define absolutes_step(a, x, A) ((a) + ((x) < 0 ? (A)0 - (A)(x) : (A)(x)))
#define absolutes_finish(a) (a)

#define squares_start(x) 0
#define squares_step(a, x, A) ((a) + (A)(x) * (A)(x))
#define squares_finish(a) (a)

#define length_start(x) 0
#define length_step(a, x, A) ((a) + (x) * (x))
#define length_finish(a) sqrt_of(a)

#define max_start(x) (x)
#define max_step(a, x, A) ((x) > (a) ? (x) : (a))
#define max_finish(a) (a)

#define min_start(x) (x)
#define min_step(a, x, A) ((x) < (a) ? (x) : (a))
#define min_finish(a) (a)

/* A NaN anywhere is the result. */
#define real_max_start(x) (x)
#define real_max_step(a, x, A) ((x) > (a) || (x) != (x) ? (x) : (a))
#define real_max_finish(a) (a)

#define real_min_start(x) (x)
#define real_min_step(a, x, A) ((x) < (a) || (x) != (x) ? (x) : (a))
#define real_min_finish(a) (a)

#endif
