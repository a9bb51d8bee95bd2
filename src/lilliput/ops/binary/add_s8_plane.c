/* int8 a + b or a - b as TFLM, same shapes, clamped to int8 only. May run in place on either. TFLM's three roundings
   make one step function of two int8 numbers; the caller found a plane that has the same steps, by trying all pairs,
   and that no sum overflows. */
#include "requantize.h"

typedef struct {
  int32_t n, a_mult, b_mult, offset, shift;
} add_s8_plane_t;

static void add_s8_plane(const add_s8_plane_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  const int32_t a_mult = p->a_mult, b_mult = p->b_mult, offset = p->offset, shift = p->shift;
  for (const int8_t *const end = a + p->n; a != end;) {
    *y++ = saturate_s8((*a++ * a_mult + *b++ * b_mult + offset) >> shift);
  }
}
