/* int8 a + b or a - b as TFLM, same shapes, clamped to int8 only. May run in place on either.
   The operand with the larger scale is `wide`: its factor is 1/2 exactly, so it counts in steps of 2^19. The other is
   `narrow`. Both are scaled up by multiply and add; zero point and sign are in these numbers. The caller proved
   scale_right for both of its uses. */
#include "requantize.h"

typedef struct {
  int32_t n, swapped, wide_up, wide_from, narrow_up, narrow_from, narrow_mult, narrow_shift;
  int32_t out_mult, out_shift, two_zp_1;
} add_s8_flat_t;

static void add_s8_flat(const add_s8_flat_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  const add_s8_flat_t k = *p;
  const int8_t *wide = k.swapped ? b : a, *narrow = k.swapped ? a : b;
  for (const int8_t *end = wide + k.n; wide != end;) {
    const int32_t v = scale_right(*narrow++ * k.narrow_up + k.narrow_from, k.narrow_mult, k.narrow_shift, 1);
    const int32_t sum = *wide++ * k.wide_up + k.wide_from + v;
    *y++ = saturate_s8(scale_right(sum, k.out_mult, k.out_shift, k.two_zp_1));
  }
}
