/* The loops of matrix products: every element of every matrix of a batch, whichever operand is transposed or repeated. They
   follow the result as it is stored, so that its rows may lie in any order, too. */
#ifndef LILLIPUT_MATMUL_H
#define LILLIPUT_MATMUL_H
#include "base.h"

typedef struct {
  const int32_t *walk; /* [3][4]: extents of the outer loops, steps of a, steps of b; outermost first */
  int32_t rows, columns, depth;        /* the two inner loops, and the sum */
  int32_t a_row, a_column, a_step;     /* what each of them steps over in a */
  int32_t b_row, b_column, b_step;
} products_t;

/* A row of results, from the row of a and the first column of b; the types behind the pointers are the kernel's. */
typedef void products_row_t(const void *params, const products_t *s, const void *a, const void *b, void *y);

/* `in` and `out` are the sizes of an element in bytes. Inlined, so that no row costs a call through a pointer. */
LILLIPUT_INLINE void each_products_row(products_row_t *products, const void *params, const products_t *s, int32_t in,
                                       int32_t out, const void *from_a, const void *from_b, void *to) {
  const int32_t *n = s->walk, *sa = n + 4, *sb = n + 8;
  unsigned char *y = to;
  for (int32_t i = 0; i < n[0]; i++) {
    for (int32_t j = 0; j < n[1]; j++) {
      for (int32_t k = 0; k < n[2]; k++) {
        for (int32_t l = 0; l < n[3]; l++) {
          const int32_t u = i * sa[0] + j * sa[1] + k * sa[2] + l * sa[3];
          const int32_t v = i * sb[0] + j * sb[1] + k * sb[2] + l * sb[3];
          for (int32_t row = 0; row < s->rows; row++, y += out * s->columns) {
            products(params, s, (const unsigned char *)from_a + in * (u + row * s->a_row),
                     (const unsigned char *)from_b + in * (v + row * s->b_row), y);
          }
        }
      }
    }
  }
}

#endif
