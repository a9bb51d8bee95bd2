/* Integers of one quantization -> integers of another, clamped; of any two types. May run in place where they have one size. */
#include "requantize.h"

typedef struct {
  int32_t n, from, mult, shift, out_zp, lo, hi; /* from: - the input's zero point */
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const X *x, Y *y) {
  for (int32_t i = 0; i < p->n; i++) {
    const int32_t scaled = scale_by(wrapping_add(x[i], p->from), p->mult, p->shift);
    y[i] = (Y)clamp_i32(wrapping_add(scaled, p->out_zp), p->lo, p->hi);
  }
}
