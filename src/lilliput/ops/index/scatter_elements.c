/* Replaces single elements of a copy of x, for every type: one axis of their places comes from data, later ones win. */
#include "index.h"
#include "walk.h"

typedef struct {
  const int32_t *dims, *strides; /* [axes] of the indices; strides in y, 0 along the indexed axis */
  int32_t axes, start, n, stride;
  int32_t size, along, item; /* the indexed axis of y: elements, its stride; bytes of an element */
  int32_t bytes;             /* of y */
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const void *in, const T *indices, const void *updates, void *out) {
  const walk_t w = {p->dims, p->strides, p->axes, p->start, p->n, p->stride};
  const unsigned char *u = updates;
  unsigned char *y = out;
  int32_t at[WALK_AXES] = {0}, offset = p->start;
  if (in != out) memcpy(y, in, (size_t)p->bytes);
  do {
    for (int32_t i = 0, place = offset; i < p->n; i++, place += p->stride, u += p->item) {
      copy_run(y + (place + index_within(*indices++, p->size) * p->along) * p->item, u, p->item);
    }
  } while (walk_on(&w, at, &offset));
}
