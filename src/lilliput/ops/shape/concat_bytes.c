/* Joins runs of several inputs, constants among them, for every type: sizes in bytes. */
#include "base.h"

typedef struct {
  const int32_t *runs;      /* [parts] bytes of each input per outer index */
  const int32_t *sources;   /* [parts] number of the pointer, or -1 - offset into the constants */
  const uint8_t *constants; /* all constant inputs, one after the other */
  int32_t parts, outer;
} concat_bytes_t;

static void concat_bytes(const concat_bytes_t *p, const void *const *xs, void *out) {
  unsigned char *y = out;
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t i = 0; i < p->parts; i++) {
      const int32_t s = p->sources[i], n = p->runs[i];
      const unsigned char *x = s >= 0 ? (const unsigned char *)xs[s] : p->constants + (-1 - s);
      memcpy(y, x + o * n, (size_t)n);
      y += n;
    }
  }
}
