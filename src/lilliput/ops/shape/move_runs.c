/* Moves whole runs of bytes from strided places to a dense result, for every type: strides and `n` are in bytes. */
#include "walk.h"

typedef walk_t move_runs_t;

static void move_runs(const move_runs_t *p, const void *in, void *out) {
  const unsigned char *x = in;
  unsigned char *y = out;
  int32_t at[WALK_AXES] = {0}, offset = p->start;
  do {
    memcpy(y, x + offset, (size_t)p->n);
    y += p->n;
  } while (walk_on(p, at, &offset));
}
