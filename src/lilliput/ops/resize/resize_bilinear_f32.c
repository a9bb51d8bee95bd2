/* Bilinear resizing, float32: four pixels weighted and added in TFLM's order. */
#include "base.h"

typedef struct {
  const int32_t *rows, *columns; /* [oh][2], [ow][2]: the two neighbours */
  const float *fy, *fx;          /* [oh], [ow]: how far the result is from the first of them */
  int32_t n, h, w, c, oh, ow;
} resize_bilinear_f32_t;

static void resize_bilinear_f32(const resize_bilinear_f32_t *p, const float *x, float *y) {
  const int32_t line = p->w * p->c;
  for (int32_t b = 0; b < p->n; b++, x += p->h * line) {
    for (int32_t i = 0; i < p->oh; i++) {
      const float *top = x + p->rows[2 * i] * line, *bottom = x + p->rows[2 * i + 1] * line, fy = p->fy[i];
      for (int32_t j = 0; j < p->ow; j++) {
        const int32_t left = p->columns[2 * j] * p->c, right = p->columns[2 * j + 1] * p->c;
        const float fx = p->fx[j];
        for (int32_t k = 0; k < p->c; k++) {
          *y++ = top[left + k] * (1.0f - fy) * (1.0f - fx) + bottom[left + k] * fy * (1.0f - fx) +
                 top[right + k] * (1.0f - fy) * fx + bottom[right + k] * fy * fx;
        }
      }
    }
  }
}
