/* Gathers single elements, for every type: the walk is over the indices' places in x, of which one axis comes from data. */
#include "index.h"
#include "walk.h"

typedef struct {
  const int32_t *dims, *strides; /* [axes] of the indices; strides in x, 0 along the indexed axis */
  int32_t axes, start, n, stride;
  int32_t size, along, item; /* the indexed axis of x: elements, its stride; bytes of an element */
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const void *in, const T *indices, void *out) {
  const walk_t w = {p->dims, p->strides, p->axes, p->start, p->n, p->stride};
  const unsigned char *x = in;
  unsigned char *y = out;
  int32_t at[WALK_AXES] = {0}, offset = p->start;
  do {
    for (int32_t i = 0, place = offset; i < p->n; i++, place += p->stride, y += p->item) {
      copy_run(y, x + (place + index_within(*indices++, p->size) * p->along) * p->item, p->item);
    }
  } while (walk_on(&w, at, &offset));
}
