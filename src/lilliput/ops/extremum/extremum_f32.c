/* float32 larger (sign 1) or smaller (sign -1) of a and b, clamped; NaN in either gives NaN. Any broadcasting;
   may run in place on an operand of the result's size. */
#include "broadcast.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  float sign, lo, hi;
} extremum_f32_t;

LILLIPUT_INLINE void extremum_f32_element(const void *params, const void *a, const void *b, void *y) {
  const extremum_f32_t *p = params;
  const float *u = a, *v = b;
  /* Written so that a NaN on either side is what is taken: no comparison with it is true. */
  const float s = *u, t = *v;
  const float value = p->sign * s >= p->sign * t || s != s ? s : t;
  *(float *)y = value < p->lo ? p->lo : value > p->hi ? p->hi : value;
}

static void extremum_f32(const extremum_f32_t *p, const float *a, const float *b, float *y) {
  broadcast(extremum_f32_element, p, p->walk, (int32_t)sizeof *y, a, b, y);
}
