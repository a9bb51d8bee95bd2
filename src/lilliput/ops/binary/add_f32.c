/* float32 a + b or a - b, clamped; NaN stays NaN. Any broadcasting; may run in place on an
   operand of the result's size. */
#include "base.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  float sign, lo, hi;
} add_f32_t;

static void add_f32(const add_f32_t *p, const float *a, const float *b, float *y) {
  const int32_t *n = p->walk, *sa = n + 4, *sb = n + 8;
  for (int32_t i = 0; i < n[0]; i++) {
    for (int32_t j = 0; j < n[1]; j++) {
      for (int32_t k = 0; k < n[2]; k++) {
        const float *u = a + i * sa[0] + j * sa[1] + k * sa[2];
        const float *v = b + i * sb[0] + j * sb[1] + k * sb[2];
        for (int32_t l = 0; l < n[3]; l++, u += sa[3], v += sb[3]) {
          const float sum = *u + p->sign * *v;
          *y++ = sum < p->lo ? p->lo : sum > p->hi ? p->hi : sum;
        }
      }
    }
  }
}
