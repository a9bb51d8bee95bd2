/* Bilinear resizing of integers, TFLM's: fractions of 1024, rounded to nearest, halves away from zero. W holds the sums. */
#include "base.h"

typedef struct {
  const int32_t *rows, *columns; /* [oh][2], [ow][2]: the two neighbours */
  const int32_t *fy, *fx;        /* [oh], [ow]: 1024ths from the first of them */
  int32_t n, h, w, c, oh, ow;
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const T *x, T *y) {
  const int32_t line = p->w * p->c;
  for (int32_t b = 0; b < p->n; b++, x += p->h * line) {
    for (int32_t i = 0; i < p->oh; i++) {
      const T *top = x + p->rows[2 * i] * line, *bottom = x + p->rows[2 * i + 1] * line;
      const int32_t fy = p->fy[i];
      for (int32_t j = 0; j < p->ow; j++) {
        const int32_t left = p->columns[2 * j] * p->c, right = p->columns[2 * j + 1] * p->c, fx = p->fx[j];
        const W a = (1024 - fy) * (1024 - fx), d = fy * (1024 - fx), e = (1024 - fy) * fx, f = fy * fx;
        for (int32_t k = 0; k < p->c; k++) {
          const W sum = top[left + k] * a + bottom[left + k] * d + top[right + k] * e + bottom[right + k] * f;
          *y++ = (T)((sum + (sum > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20));
        }
      }
    }
  }
}
