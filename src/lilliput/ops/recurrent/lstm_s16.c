/* int8 long short-term memory with int16 state and cell: the reference definition is ops/recurrent/integer.py. */
#include "gates_s16.h"

typedef struct {
  int32_t n, t, i, h, reverse, last;
  const int8_t *w, *r;        /* [4][h][i], [4][h][h]; gates: input, forget, cell, output */
  const int32_t *mx, *mh, *b; /* [4][h]: multipliers of both sums; bias */
  const uint16_t *table;
  int32_t mb, shift, in_zp, lo, hi, mult, out_shift, out_zp;
  int32_t coupled, cell_shift, tanh_factor, tanh_shift, cell_lo, cell_hi;
} lstm_s16_t;

/* One step of unit j: its new state; the cell is updated in place. */
LILLIPUT_INLINE int16_t lstm_s16_unit(const lstm_s16_t *p, int32_t j, const int16_t *v, const int16_t *state,
                                      int16_t *cell) {
  int32_t of_x[4], of_h[4], a[4];
  dot4_s16(v, p->w + j * p->i, p->h * p->i, p->i, of_x);
  dot4_s16(state, p->r + j * p->h, p->h * p->h, p->h, of_h);
  for (int32_t g = 0; g < 4; g++) {
    const int32_t row = g * p->h + j;
    const int64_t fine = (int64_t)of_x[g] * p->mx[row] + (int64_t)of_h[g] * p->mh[row] + (int64_t)p->b[row] * p->mb;
    a[g] = clamp_i32(whole_steps(fine, p->shift), p->lo, p->hi);
  }
  const int32_t in = sigmoid_s16_of(p->table, a[0]);
  const int32_t forget = p->coupled ? 32768 - in : sigmoid_s16_of(p->table, a[1]);
  const int32_t fresh = (in * tanh_s16_of(p->table, a[2], 3, 0) + (1 << p->cell_shift >> 1)) >> p->cell_shift;
  const int32_t c = clamp_i32((forget * cell[j] + fresh + (1 << 14)) >> 15, p->cell_lo, p->cell_hi);
  cell[j] = (int16_t)c;
  const int32_t out = sigmoid_s16_of(p->table, a[3]);
  return (int16_t)product_s16(out, tanh_s16_of(p->table, c, p->tanh_factor, p->tanh_shift));
}

static void lstm_s16(const lstm_s16_t *p, const int8_t *x, const int16_t *h0, const int16_t *c0, const int32_t *lengths,
                     int8_t *y, int16_t *state, int16_t *cell, void *scratch) {
  const int32_t h = p->h, i = p->i;
  int16_t *const next = scratch, *const v = next + h; /* [h]: all sums read the old state; [i] */
  for (int32_t s = 0; s < p->n; s++, x += p->t * i, h0 += h, c0 += h, state += h, cell += h) {
    const int32_t steps = steps_of(lengths[s], p->t);
    for (int32_t j = 0; j < h; j++) {
      state[j] = h0[j];
      cell[j] = c0[j];
    }
    for (int32_t k = 0; k < steps; k++) {
      const int32_t at = step_at(k, steps, p->reverse);
      for (int32_t j = 0; j < i; j++) v[j] = (int16_t)(x[at * i + j] - p->in_zp);
      for (int32_t j = 0; j < h; j++) next[j] = lstm_s16_unit(p, j, v, state, cell);
      for (int32_t j = 0; j < h; j++) {
        state[j] = next[j];
        if (!p->last) y[at * h + j] = shown_s8(next[j], p->mult, p->out_shift, p->out_zp);
      }
    }
    if (p->last) {
      for (int32_t j = 0; j < h; j++) y[j] = shown_s8(state[j], p->mult, p->out_shift, p->out_zp);
      y += h;
    } else {
      for (int32_t j = steps * h; j < p->t * h; j++) y[j] = (int8_t)p->out_zp;
      y += p->t * h;
    }
  }
}
