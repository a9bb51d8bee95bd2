/* float32 matrix product. Order of accumulation: along the sum, from zero. */
#include "matmul.h"

typedef struct {
  const int32_t *walk; /* [3][4] */
  int32_t rows, columns, depth, a_row, a_column, a_step, b_row, b_column, b_step;
} matmul_f32_t;

LILLIPUT_INLINE void matmul_f32_product(const void *params, const products_t *s, const void *a, const void *b, void *y) {
  const float *u = a, *v = b;
  float sum = 0.0f;
  (void)params;
  for (int32_t i = 0; i < s->depth; i++) sum += u[i * s->a_step] * v[i * s->b_step];
  *(float *)y = sum;
}

static void matmul_f32(const matmul_f32_t *p, const float *a, const float *b, float *y) {
  const products_t s = {p->walk,     p->rows,   p->columns, p->depth,    p->a_row,
                        p->a_column, p->a_step, p->b_row,   p->b_column, p->b_step};
  each_product(matmul_f32_product, p, &s, (int32_t)sizeof *a, (int32_t)sizeof *y, a, b, y);
}
