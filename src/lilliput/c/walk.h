/* Walks over the outer axes of a strided tensor, the last axis fastest: at most WALK_AXES of them. */
#ifndef LILLIPUT_WALK_H
#define LILLIPUT_WALK_H
#include "base.h"

enum { WALK_AXES = 6 };

typedef struct {
  const int32_t *dims;    /* [axes] */
  const int32_t *strides; /* [axes], elements; negative walks backwards */
  int32_t axes;           /* of the outer ones, may be 0 */
  int32_t start;          /* element the walk begins with */
  int32_t n, stride;      /* the innermost axis */
} walk_t;

/* Advances `at` and the element offset; 0 when the walk is over. */
LILLIPUT_INLINE int32_t walk_on(const walk_t *w, int32_t at[WALK_AXES], int32_t *offset) {
  for (int32_t i = w->axes - 1; i >= 0; i--) {
    *offset += w->strides[i];
    if (++at[i] < w->dims[i]) return 1;
    *offset -= w->strides[i] * w->dims[i];
    at[i] = 0;
  }
  return 0;
}

#endif
