/* Keeps the triangle of matrices above or below a diagonal and fills the rest, for every type. */
#include "base.h"

typedef struct {
  int32_t outer, rows, columns, k, upper, item, fill; /* the fill is one byte, repeated */
} triangle_t;

static void triangle(const triangle_t *p, const void *in, void *out) {
  const unsigned char *x = in;
  unsigned char *y = out;
  const int32_t line = p->columns * p->item;
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t i = 0; i < p->rows; i++, x += line, y += line) {
      /* the kept columns: from i + k on above, up to i + k below */
      const int32_t cut = clamp_i32(p->upper ? i + p->k : i + p->k + 1, 0, p->columns) * p->item;
      if (x != y) memcpy(y, x, (size_t)line);
      if (p->upper) memset(y, p->fill, (size_t)cut);
      else memset(y + cut, p->fill, (size_t)(line - cut));
    }
  }
}
