/* Moves 8-bit elements from strided places to a dense result. */
#include "walk.h"

typedef walk_t move_8_t;

static void move_8(const move_8_t *p, const void *in, void *out) {
  const unsigned char *x = in;
  unsigned char *y = out;
  int32_t at[WALK_AXES] = {0}, offset = p->start;
  do {
    for (int32_t i = 0, from = offset; i < p->n; i++, from += p->stride) *y++ = x[from];
  } while (walk_on(p, at, &offset));
}
