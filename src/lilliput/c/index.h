/* Indices that are data: none can reach outside, whatever it is. */
#ifndef LILLIPUT_INDEX_H
#define LILLIPUT_INDEX_H
#include "base.h"

/* Counted from the end when negative, then kept within 0 .. n - 1. */
LILLIPUT_INLINE int32_t index_within(int64_t i, int32_t n) {
  if (i < 0) i += n;
  return (int32_t)(i < 0 ? 0 : i < n ? i : n - 1);
}

/* A run of bytes; short ones without a call. */
LILLIPUT_INLINE void copy_run(void *to, const void *from, int32_t bytes) {
  unsigned char *y = to;
  const unsigned char *x = from;
  if (bytes >= 8) {
    memcpy(y, x, (size_t)bytes);
  } else {
    for (int32_t i = 0; i < bytes; i++) y[i] = x[i];
  }
}

/* x and y are [batch][outer][n or m][run bytes], indices are [batch][m]. */
typedef struct {
  int32_t batch, outer, n, m, run;
} gather_t;

#endif
