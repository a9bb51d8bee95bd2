/* int8 gated recurrent unit with an int16 state: the reference definition is ops/recurrent/integer.py. */
#include "gates_s16.h"

typedef struct {
  int32_t n, t, i, h, reverse, last;
  const int8_t *w, *r;        /* [3][h][i], [3][h][h]; gates: reset, update, new */
  const int32_t *mx, *mh, *b; /* [3][h]: multipliers of both sums; bias, [4][h] with linear_before_reset */
  const uint16_t *table;
  int32_t mb, shift, in_zp, lo, hi, mult, out_shift, out_zp, linear_before_reset;
} gru_s16_t;

LILLIPUT_INLINE int64_t gru_s16_fine(const gru_s16_t *p, int32_t row, int32_t of_x, int32_t of_h) {
  return (int64_t)of_x * p->mx[row] + (int64_t)of_h * p->mh[row] + (int64_t)p->b[row] * p->mb;
}

LILLIPUT_INLINE int32_t gru_s16_argument(const gru_s16_t *p, int64_t fine) {
  return clamp_i32(whole_steps(fine, p->shift), p->lo, p->hi);
}

/* (1 - z) new + z old, in Q0.15. */
LILLIPUT_INLINE int16_t gru_s16_mix(const gru_s16_t *p, int32_t z, int32_t argument, int32_t old) {
  const int32_t fresh = tanh_s16_of(p->table, argument, 3, 0);
  return (int16_t)(((32768 - z) * fresh + z * old + (1 << 14)) >> 15);
}

/* next from state: the three rows of a unit together. */
LILLIPUT_INLINE void gru_s16_step(const gru_s16_t *p, const int16_t *v, const int16_t *state, int16_t *next) {
  const int32_t h = p->h;
  for (int32_t j = 0; j < h; j++) {
    int32_t of_x[3], of_h[3];
    dot3_s16(v, p->w + j * p->i, h * p->i, p->i, of_x);
    dot3_s16(state, p->r + j * h, h * h, h, of_h);
    const int32_t n = 2 * h + j;
    const int32_t reset = sigmoid_s16_of(p->table, gru_s16_argument(p, gru_s16_fine(p, j, of_x[0], of_h[0])));
    const int32_t z = sigmoid_s16_of(p->table, gru_s16_argument(p, gru_s16_fine(p, h + j, of_x[1], of_h[1])));
    const int64_t inner = (int64_t)of_h[2] * p->mh[n] + (int64_t)p->b[n + h] * p->mb;
    const int32_t held = product_s16(reset, clamp_s16(whole_steps(inner, p->shift)));
    const int32_t a = clamp_s16(whole_steps(gru_s16_fine(p, n, of_x[2], 0), p->shift)) + held;
    next[j] = gru_s16_mix(p, z, clamp_i32(a, p->lo, p->hi), state[j]);
  }
}

/* The same where the reset gate comes before the product: it needs all of them first. */
LILLIPUT_INLINE void gru_s16_reset_first(const gru_s16_t *p, const int16_t *v, const int16_t *state, int16_t *next,
                                         int16_t *reset) {
  const int32_t h = p->h;
  for (int32_t row = 0; row < 2 * h; row++) {
    const int32_t of_x = dot_s16(v, p->w + row * p->i, p->i), of_h = dot_s16(state, p->r + row * h, h);
    const int32_t gate = sigmoid_s16_of(p->table, gru_s16_argument(p, gru_s16_fine(p, row, of_x, of_h)));
    if (row < h) {
      reset[row] = (int16_t)product_s16(gate, state[row]);
    } else {
      next[row - h] = (int16_t)gate;
    }
  }
  for (int32_t j = 0; j < h; j++) {
    const int32_t row = 2 * h + j;
    const int32_t of_x = dot_s16(v, p->w + row * p->i, p->i), of_h = dot_s16(reset, p->r + row * h, h);
    next[j] = gru_s16_mix(p, next[j], gru_s16_argument(p, gru_s16_fine(p, row, of_x, of_h)), state[j]);
  }
}

static void gru_s16(const gru_s16_t *p, const int8_t *x, const int16_t *h0, const int32_t *lengths, int8_t *y,
                    int16_t *state, void *scratch) {
  const int32_t h = p->h, i = p->i;
  int16_t *const next = scratch, *const reset = next + h, *const v = reset + h; /* [h], [h], [i] */
  for (int32_t s = 0; s < p->n; s++, x += p->t * i, h0 += h, state += h, y += p->last ? h : p->t * h) {
    const int32_t steps = steps_of(lengths[s], p->t);
    for (int32_t j = 0; j < h; j++) state[j] = h0[j];
    for (int32_t k = 0; k < steps; k++) {
      const int32_t at = step_at(k, steps, p->reverse);
      for (int32_t j = 0; j < i; j++) v[j] = (int16_t)(x[at * i + j] - p->in_zp);
      if (p->linear_before_reset) {
        gru_s16_step(p, v, state, next);
      } else {
        gru_s16_reset_first(p, v, state, next, reset);
      }
      for (int32_t j = 0; j < h; j++) {
        state[j] = next[j];
        if (!p->last) y[at * h + j] = shown_s8(next[j], p->mult, p->out_shift, p->out_zp);
      }
    }
    if (p->last) {
      for (int32_t j = 0; j < h; j++) y[j] = shown_s8(state[j], p->mult, p->out_shift, p->out_zp);
    } else {
      for (int32_t j = steps * h; j < p->t * h; j++) y[j] = (int8_t)p->out_zp;
    }
  }
}
