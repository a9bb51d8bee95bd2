/* Moves float32 elements from strided places to a dense result. */
#include "walk.h"

typedef walk_t move_f32_t;

static void move_f32(const move_f32_t *p, const float *x, float *y) {
  int32_t at[WALK_AXES] = {0}, offset = p->start;
  do {
    for (int32_t i = 0, from = offset; i < p->n; i++, from += p->stride) *y++ = x[from];
  } while (walk_on(p, at, &offset));
}
