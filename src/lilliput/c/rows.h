/* The schedule of row kernels: each output row is computed from the pointers to its input rows. */
#ifndef LILLIPUT_ROWS_H
#define LILLIPUT_ROWS_H
#include "base.h"

typedef void row_kernel_t(const void *params, const void *const *rows, void *y, void *scratch);

typedef struct {
  const void *pad_row; /* what a row outside the input reads; may be null */
  int32_t in_rows, in_pitch, out_rows, out_pitch;
  int32_t taps, stride, dilation, pad;
} rows_t;

/* Run `kernel` for every output row. Inlined, so that the call is direct and its stack is known. */
LILLIPUT_INLINE void over_rows(row_kernel_t *kernel, const void *params, const rows_t *r, const unsigned char *x,
                               unsigned char *y, void *scratch) {
  const void *rows[LILLIPUT_TAPS];
  for (int32_t oy = 0; oy < r->out_rows; oy++) {
    for (int32_t k = 0; k < r->taps; k++) {
      const int32_t iy = oy * r->stride + k * r->dilation - r->pad;
      rows[k] = iy >= 0 && iy < r->in_rows ? (const void *)(x + iy * r->in_pitch) : r->pad_row;
    }
    kernel(params, rows, y + oy * r->out_pitch, scratch);
  }
}

#endif
