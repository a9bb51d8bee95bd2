/* Matrix product of whole numbers that stand for themselves; sums wrap at 32 bits. */
#include "matmul.h"

typedef struct {
  const int32_t *walk; /* [3][4] */
  int32_t rows, columns, depth, a_row, a_column, a_step, b_row, b_column, b_step;
} matmul_i32_t;

LILLIPUT_INLINE void matmul_i32_row(const void *params, const products_t *s, const void *a, const void *b, void *y) {
  const int32_t *u = a, *v = b;
  int32_t *to = y;
  (void)params;
  for (int32_t column = 0; column < s->columns; column++, u += s->a_column, v += s->b_column) {
    uint32_t sum = 0; /* wraps where int32_t may not */
    for (int32_t i = 0; i < s->depth; i++) sum += (uint32_t)u[i * s->a_step] * (uint32_t)v[i * s->b_step];
    *to++ = (int32_t)sum;
  }
}

static void matmul_i32(const matmul_i32_t *p, const int32_t *a, const int32_t *b, int32_t *y) {
  const products_t s = {p->walk,     p->rows,   p->columns, p->depth,    p->a_row,
                        p->a_column, p->a_step, p->b_row,   p->b_column, p->b_step};
  each_products_row(matmul_i32_row, p, &s, (int32_t)sizeof *a, (int32_t)sizeof *y, a, b, y);
}
