/* int8 matrix product, four results of a row at a time: those of one row of the first factor, or of one column of
   the second where the result lies transposed: "x" is that one, "w" the other. The sums of products of x above its zero
   point with w are corrected by w's; every result shifts right (proved offline). Where four does not divide the row,
   its last results are computed again. */
#include "loops.h"
#include "matmul.h"
#include "requantize.h"

typedef struct {
  const int32_t *walk; /* [3][4] */
  int32_t rows, columns, depth, x_row, x_step, w_row, w_column, w_step;
  int32_t swapped, x_zp, w_zp, mult, shift, two_zp_1;
} matmul_s8_1x4_t;

/* acc[4] = start + sums over (x - x_zp) w, for columns of w that lie side by side. */
LILLIPUT_NOINLINE static void matmul_s8_1x4_beside(const matmul_s8_1x4_t *p, const int8_t *x, const int8_t *w,
                                                   int32_t start, int32_t *acc) {
  const int32_t zero = p->x_zp, x_step = p->x_step, step = p->w_step;
  int32_t a0 = start, a1 = start, a2 = start, a3 = start;
  for (int32_t k = p->depth; k > 0; k--, x += x_step, w += step) {
    const int32_t v = *x - zero;
    a0 += v * w[0];
    a1 += v * w[1];
    a2 += v * w[2];
    a3 += v * w[3];
  }
  acc[0] = a0, acc[1] = a1, acc[2] = a2, acc[3] = a3;
}

/* The same for columns each of which lies in one piece. */
LILLIPUT_NOINLINE static void matmul_s8_1x4_along(const matmul_s8_1x4_t *p, const int8_t *x, const int8_t *w,
                                                  int32_t start, int32_t *acc) {
  const int32_t zero = p->x_zp, x_step = p->x_step;
  const int8_t *w1 = w + p->w_column, *w2 = w1 + p->w_column, *w3 = w2 + p->w_column;
  int32_t a0 = start, a1 = start, a2 = start, a3 = start;
  for (int32_t k = p->depth; k > 0; k--, x += x_step) {
    const int32_t v = *x - zero;
    a0 += v * *w++;
    a1 += v * *w1++;
    a2 += v * *w2++;
    a3 += v * *w3++;
  }
  acc[0] = a0, acc[1] = a1, acc[2] = a2, acc[3] = a3;
}

LILLIPUT_INLINE void matmul_s8_1x4_row(const void *params, const products_t *s, const void *a, const void *b, void *y) {
  const matmul_s8_1x4_t *p = params;
  const int8_t *const x = p->swapped ? b : a, *const w = p->swapped ? a : b;
  int32_t total = 0;
  for (int32_t k = 0; k < s->depth; k++) total += x[k * p->x_step] - p->x_zp;
  const int32_t start = -total * p->w_zp;
  for (int32_t first = 0; first < s->columns; first += 4) {
    const int32_t column = min_i32(first, s->columns - 4);
    const int8_t *const from = w + column * p->w_column;
    int32_t acc[4];
    if (p->w_column == 1) {
      matmul_s8_1x4_beside(p, x, from, start, acc);
    } else {
      matmul_s8_1x4_along(p, x, from, start, acc);
    }
    int8_t *const to = (int8_t *)y + column;
    LILLIPUT_ROLLED
    for (int32_t i = 0; i < 4; i++) to[i] = saturate_s8(scale_right(acc[i], p->mult, p->shift, p->two_zp_1));
  }
}

static void matmul_s8_1x4(const matmul_s8_1x4_t *p, const int8_t *a, const int8_t *b, int8_t *y) {
  products_t s = {p->walk, p->rows, p->columns, p->depth, p->x_row, 0, p->x_step, p->w_row, p->w_column, p->w_step};
  if (p->swapped) {
    s.a_row = p->w_row;
    s.b_row = p->x_row;
  }
  each_products_row(matmul_s8_1x4_row, p, &s, (int32_t)sizeof *a, (int32_t)sizeof *y, a, b, y);
}
