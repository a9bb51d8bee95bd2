/* int8 matrix product: sums of products of what the integers are above their zero points, scaled. */
#include "matmul.h"
#include "requantize.h"

typedef struct {
  const int32_t *walk; /* [3][4] */
  int32_t rows, columns, depth, a_row, a_column, a_step, b_row, b_column, b_step;
  int32_t a_zp, b_zp, out_zp, mult, shift;
} matmul_s8_t;

LILLIPUT_INLINE void matmul_s8_row(const void *params, const products_t *s, const void *a, const void *b, void *y) {
  const matmul_s8_t *p = params;
  const int8_t *u = a, *v = b;
  int8_t *to = y;
  for (int32_t column = 0; column < s->columns; column++, u += s->a_column, v += s->b_column) {
    uint32_t sum = 0; /* wraps where int32_t may not */
    for (int32_t i = 0; i < s->depth; i++) {
      sum += (uint32_t)((u[i * s->a_step] - p->a_zp) * (v[i * s->b_step] - p->b_zp));
    }
    const int32_t scaled = scale_by((int32_t)sum, p->mult, p->shift);
    *to++ = saturate_s8(wrapping_add(scaled, p->out_zp));
  }
}

static void matmul_s8(const matmul_s8_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  const products_t s = {p->walk,     p->rows,   p->columns, p->depth,    p->a_row,
                        p->a_column, p->a_step, p->b_row,   p->b_column, p->b_step};
  each_products_row(matmul_s8_row, p, &s, (int32_t)sizeof *a, (int32_t)sizeof *y, a, b, y);
}
