/* int16 larger (sign 1) or smaller (sign -1) of a and b, which share y's quantization, clamped. Any broadcasting;
   may run in place on an operand of the result's size. */
#include "broadcast.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  int32_t sign, lo, hi;
} extremum_s16_t;

LILLIPUT_INLINE void extremum_s16_element(const void *params, const void *a, const void *b, void *y) {
  const extremum_s16_t *p = params;
  const int16_t *u = a, *v = b;
  const int32_t more = p->sign * (*v - *u); /* masked, for a compiler may make a branch of a comparison */
  *(int16_t *)y = (int16_t)clamp_i32(*u + p->sign * (more & ~(more >> 31)), p->lo, p->hi);
}

static void extremum_s16(const extremum_s16_t *p, const int16_t *a, const int16_t *b, int16_t *y) {
  broadcast(extremum_s16_element, p, p->walk, (int32_t)sizeof *y, a, b, y);
}
