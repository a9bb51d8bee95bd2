/* int8 larger (sign 1) or smaller (sign -1) of a and b, which share y's quantization, clamped. Any broadcasting;
   may run in place on an operand of the result's size. */
#include "broadcast.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  int32_t sign, lo, hi;
} extremum_s8_t;

LILLIPUT_INLINE void extremum_s8_element(const void *params, const void *a, const void *b, void *y) {
  const extremum_s8_t *p = params;
  const int8_t *u = a, *v = b;
  const int32_t more = p->sign * (*v - *u); /* masked, for a compiler may make a branch of a comparison */
  *(int8_t *)y = (int8_t)clamp_i32(*u + p->sign * (more & ~(more >> 31)), p->lo, p->hi);
}

static void extremum_s8(const extremum_s8_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  broadcast(extremum_s8_element, p, p->walk, (int32_t)sizeof *y, a, b, y);
}
