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

/* Run `kernel` for one output row. All of this is inlined, so that calls are direct and their stack is known. */
LILLIPUT_INLINE void one_row(row_kernel_t *kernel, const void *params, const rows_t *r, const unsigned char *x,
                             unsigned char *y, void *scratch, int32_t oy) {
  const void *rows[LILLIPUT_TAPS];
  for (int32_t k = 0; k < r->taps; k++) {
    const int32_t iy = oy * r->stride + k * r->dilation - r->pad;
    rows[k] = iy >= 0 && iy < r->in_rows ? (const void *)(x + iy * r->in_pitch) : r->pad_row;
  }
  kernel(params, rows, y + oy * r->out_pitch, scratch);
}

LILLIPUT_INLINE void over_rows(row_kernel_t *kernel, const void *params, const rows_t *r, const unsigned char *x,
                               unsigned char *y, void *scratch) {
  for (int32_t oy = 0; oy < r->out_rows; oy++) one_row(kernel, params, r, x, y, scratch, oy);
}

/* The last row first: where the result shares memory with the input and lies above it. */
LILLIPUT_INLINE void over_rows_back(row_kernel_t *kernel, const void *params, const rows_t *r, const unsigned char *x,
                                    unsigned char *y, void *scratch) {
  for (int32_t oy = r->out_rows - 1; oy >= 0; oy--) one_row(kernel, params, r, x, y, scratch, oy);
}

/* What a layer of a stream remembers from row to row. Rings and whole tensors alike: a place is a row modulo the rows
   that exist. */
typedef struct {
  int16_t row;   /* of its result, the next; of the stream itself, how far it got */
  int16_t out;   /* where that row is written */
  int16_t in[2]; /* where the first row lies that is read of each operand */
} row_cursor_t;

typedef struct {
  int16_t out, in[2]; /* how many rows of the result and of the operands exist */
  int16_t stride;
} rings_t;

LILLIPUT_INLINE int32_t around(int32_t place, int32_t rows) {
  while (place >= rows) place -= rows;
  return place;
}

LILLIPUT_INLINE void advance_row(row_cursor_t *at, const rings_t *rings) {
  at->row++;
  at->out = (int16_t)around(at->out + 1, rings->out);
  for (int32_t i = 0; i < 2; i++) at->in[i] = (int16_t)around(at->in[i] + rings->stride, rings->in[i]);
}

/* Run `kernel` for the next output row of a stream. */
LILLIPUT_INLINE void next_row(row_kernel_t *kernel, const void *params, const rows_t *r, const rings_t *rings,
                              const unsigned char *x, unsigned char *y, void *scratch, row_cursor_t *at) {
  const void *rows[LILLIPUT_TAPS];
  int32_t iy = at->row * r->stride - r->pad, place = at->in[0];
  for (int32_t k = 0; k < r->taps; k++, iy += r->dilation) {
    rows[k] = iy >= 0 && iy < r->in_rows ? (const void *)(x + place * r->in_pitch) : r->pad_row;
    place = around(place + r->dilation, rings->in[0]);
  }
  kernel(params, rows, y + at->out * r->out_pitch, scratch);
  advance_row(at, rings);
}

#endif
