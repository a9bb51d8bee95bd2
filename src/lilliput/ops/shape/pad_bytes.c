/* Padding for every type: fills the result with one element, repeated, and copies the input's runs into it.
   The walk is over the result, in bytes. */
#include "walk.h"

typedef struct {
  const int32_t *dims, *strides; /* [axes] */
  int32_t axes, start, n, stride;
  const uint8_t *fill; /* [item] */
  int32_t item, size;
} pad_bytes_t;

static void pad_bytes(const pad_bytes_t *p, const void *in, void *out) {
  const walk_t w = {p->dims, p->strides, p->axes, p->start, p->n, p->stride};
  const unsigned char *x = in;
  unsigned char *y = out;
  int32_t at[WALK_AXES] = {0}, offset = p->start;
  memcpy(y, p->fill, (size_t)p->item);
  for (int32_t done = p->item; done < p->size;) { /* what is filled doubles each time */
    const int32_t more = min_i32(done, p->size - done);
    memcpy(y + done, y, (size_t)more);
    done += more;
  }
  do {
    memcpy(y + offset, x, (size_t)p->n);
    x += p->n;
  } while (walk_on(&w, at, &offset));
}
