/* float32 larger (sign 1) or smaller (sign -1) of a and b, clamped; NaN in either gives NaN. Any broadcasting;
   may run in place on an operand of the result's size. */
#include "base.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  float sign, lo, hi;
} extremum_f32_t;

static void extremum_f32(const extremum_f32_t *p, const float *a, const float *b, float *y) {
  const int32_t *n = p->walk, *sa = n + 4, *sb = n + 8;
  for (int32_t i = 0; i < n[0]; i++) {
    for (int32_t j = 0; j < n[1]; j++) {
      for (int32_t k = 0; k < n[2]; k++) {
        const float *u = a + i * sa[0] + j * sa[1] + k * sa[2];
        const float *v = b + i * sb[0] + j * sb[1] + k * sb[2];
        for (int32_t l = 0; l < n[3]; l++, u += sa[3], v += sb[3]) {
          /* Written so that a NaN on either side is what is taken: no comparison with it is true. */
          const float s = *u, t = *v;
          const float value = p->sign * s >= p->sign * t || s != s ? s : t;
          *y++ = value < p->lo ? p->lo : value > p->hi ? p->hi : value;
        }
      }
    }
  }
}
