/* int8 a * b as TFLM. Any broadcasting; may run in place on an
   operand of the result's size. */
#include "requantize.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents, steps of a, steps of b; outermost first */
  int32_t a_zp, b_zp, mult, shift, out_zp, lo, hi;
} mul_s8_t;

static void mul_s8(const mul_s8_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  const int32_t *n = p->walk, *sa = n + 4, *sb = n + 8;
  for (int32_t i = 0; i < n[0]; i++) {
    for (int32_t j = 0; j < n[1]; j++) {
      for (int32_t k = 0; k < n[2]; k++) {
        const int8_t *u = a + i * sa[0] + j * sa[1] + k * sa[2];
        const int8_t *v = b + i * sb[0] + j * sb[1] + k * sb[2];
        for (int32_t l = 0; l < n[3]; l++, u += sa[3], v += sb[3]) {
          const int32_t product = (*u - p->a_zp) * (*v - p->b_zp);
          const int32_t scaled = scale_by(product, p->mult, p->shift);
          *y++ = (int8_t)clamp_i32(wrapping_add(scaled, p->out_zp), p->lo, p->hi);
        }
      }
    }
  }
}
