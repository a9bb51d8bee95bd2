/* float32 reductions in two passes over the same values, four loops around four: first the greatest value or the mean,
   then the sum of what the distance from it gives. Order of accumulation: as the values lie in memory. */
#include "two_pass.h"

typedef struct {
  const int32_t *kept, *over; /* [4][2]: count, stride in elements; outermost first */
  float count, divisor, epsilon;
} KERNEL_t;

LILLIPUT_INLINE float KERNEL_pass(const KERNEL_t *p, const float *x, int second, float centre) {
  const int32_t *n = p->over;
  float all = F_start(second, x[0]);
  for (int32_t a = 0; a < n[0]; a++) {
    for (int32_t b = 0; b < n[2]; b++) {
      for (int32_t c = 0; c < n[4]; c++) {
        const float *v = x + a * n[1] + b * n[3] + c * n[5];
        for (int32_t d = 0; d < n[6]; d++, v += n[7]) {
          all = second ? F_second(all, *v - centre) : F_first(all, *v);
        }
      }
    }
  }
  return all;
}

static void KERNEL(const KERNEL_t *p, const float *x, float *y) {
  const int32_t *n = p->kept;
  for (int32_t a = 0; a < n[0]; a++) {
    for (int32_t b = 0; b < n[2]; b++) {
      for (int32_t c = 0; c < n[4]; c++) {
        for (int32_t d = 0; d < n[6]; d++) {
          const float *v = x + a * n[1] + b * n[3] + c * n[5] + d * n[7];
          const float centre = F_centre(KERNEL_pass(p, v, 0, 0.0f), p->count);
          *y++ = F_finish(KERNEL_pass(p, v, 1, centre), centre, p->divisor, p->epsilon);
        }
      }
    }
  }
}
