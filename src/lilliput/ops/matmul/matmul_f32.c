/* float32 matrix product. Order of accumulation: along the sum, from zero. */
#include "matmul.h"

typedef struct {
  const int32_t *walk; /* [3][4] */
  int32_t rows, columns, depth, a_row, a_column, a_step, b_row, b_column, b_step;
} matmul_f32_t;

LILLIPUT_INLINE void matmul_f32_row(const void *params, const products_t *s, const void *a, const void *b, void *y) {
  const float *u = a, *v = b;
  float *to = y;
  (void)params;
  for (int32_t column = 0; column < s->columns; column++, u += s->a_column, v += s->b_column) {
    float sum = 0.0f;
    for (int32_t i = 0; i < s->depth; i++) sum += u[i * s->a_step] * v[i * s->b_step];
    *to++ = sum;
  }
}

static void matmul_f32(const matmul_f32_t *p, const float *a, const float *b, float *y) {
  const products_t s = {p->walk,     p->rows,   p->columns, p->depth,    p->a_row,
                        p->a_column, p->a_step, p->b_row,   p->b_column, p->b_step};
  each_products_row(matmul_f32_row, p, &s, (int32_t)sizeof *a, (int32_t)sizeof *y, a, b, y);
}
