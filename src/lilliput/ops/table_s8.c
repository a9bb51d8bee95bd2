/* int8 -> int8 through a table of 256 values. May run in place. */
#include "base.h"

typedef struct {
  const int8_t *table; /* [256], for -128 first */
  int32_t n;
} table_s8_t;

static void table_s8(const table_s8_t *p, const int8_t *x, int8_t *y) {
  const int8_t *centre = p->table + 128;
  for (int32_t i = 0; i < p->n; i++) y[i] = centre[x[i]];
}
