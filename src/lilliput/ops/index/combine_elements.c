/* Combines single elements with those of a copy of x, in their order: one axis of their places comes from data. */
#include "combine.h"
#include "index.h"
#include "walk.h"

typedef struct {
  const int32_t *dims, *strides; /* [axes] of the indices; strides in y, 0 along the indexed axis */
  int32_t axes, start, n, stride;
  int32_t size, along, item; /* the indexed axis of y: elements, its stride; bytes of an element */
  int32_t bytes;             /* of y */
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const V *x, const T *indices, const V *u, V *y) {
  const walk_t w = {p->dims, p->strides, p->axes, p->start, p->n, p->stride};
  int32_t at[WALK_AXES] = {0}, offset = p->start;
  if (x != y) memcpy(y, x, (size_t)p->bytes);
  do {
    for (int32_t i = 0, place = offset; i < p->n; i++, place += p->stride) {
      V *to = y + place + index_within(*indices++, p->size) * p->along;
      *to = F(*to, *u++);
    }
  } while (walk_on(&w, at, &offset));
}
