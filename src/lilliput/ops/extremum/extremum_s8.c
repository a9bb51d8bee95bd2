/* int8 larger (sign 1) or smaller (sign -1) of a and b, which share y's quantization, clamped. Any broadcasting;
   may run in place on an operand of the result's size. */
#include "base.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  int32_t sign, lo, hi;
} extremum_s8_t;

static void extremum_s8(const extremum_s8_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  const int32_t *n = p->walk, *sa = n + 4, *sb = n + 8;
  for (int32_t i = 0; i < n[0]; i++) {
    for (int32_t j = 0; j < n[1]; j++) {
      for (int32_t k = 0; k < n[2]; k++) {
        const int8_t *u = a + i * sa[0] + j * sa[1] + k * sa[2];
        const int8_t *v = b + i * sb[0] + j * sb[1] + k * sb[2];
        for (int32_t l = 0; l < n[3]; l++, u += sa[3], v += sb[3]) {
          const int32_t more = p->sign * (*v - *u); /* masked, for a compiler may make a branch of a comparison */
          *y++ = (int8_t)clamp_i32(*u + p->sign * (more & ~(more >> 31)), p->lo, p->hi);
        }
      }
    }
  }
}
