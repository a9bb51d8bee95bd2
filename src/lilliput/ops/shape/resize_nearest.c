/* Nearest-neighbour resizing for every type: pixels chosen by tables; a row that repeats is copied whole. Sizes in bytes. */
#include "base.h"

typedef struct {
  const uint16_t *rows;    /* [oh] */
  const uint16_t *columns; /* [ow] */
  int32_t oh, ow, pitch, pixel;
} resize_nearest_t;

static void resize_nearest(const resize_nearest_t *p, const void *in, void *out) {
  const unsigned char *x = in;
  unsigned char *y = out;
  const int32_t line = p->ow * p->pixel;
  for (int32_t oy = 0; oy < p->oh; oy++, y += line) {
    if (oy > 0 && p->rows[oy] == p->rows[oy - 1]) {
      memcpy(y, y - line, (size_t)line);
      continue;
    }
    for (int32_t ox = 0; ox < p->ow; ox++) {
      const unsigned char *from = x + p->rows[oy] * p->pitch + p->columns[ox] * p->pixel;
      unsigned char *to = y + ox * p->pixel;
      if (p->pixel >= 8) {
        memcpy(to, from, (size_t)p->pixel);
      } else {
        for (int32_t i = 0; i < p->pixel; i++) to[i] = from[i];
      }
    }
  }
}
