/* int8 simple recurrent layer with an int16 state: the reference definition is ops/recurrent/integer.py. */
#include "gates_s16.h"

typedef struct {
  int32_t n, t, i, h, reverse, last;
  const int8_t *w, *r;         /* [h][i], [h][h] */
  const int32_t *mx, *mh, *b;  /* [h]: multipliers of both sums; bias */
  const uint16_t *table;
  int32_t mb, shift, in_zp, lo, hi, mult, out_shift, out_zp, relu;
} rnn_s16_t;

static void rnn_s16(const rnn_s16_t *p, const int8_t *x, const int16_t *h0, const int32_t *lengths, int8_t *y,
                    int16_t *state, void *scratch) {
  const int32_t h = p->h, i = p->i;
  int16_t *const next = scratch, *const v = next + h; /* [h]: all sums read the old state; [i] */
  for (int32_t s = 0; s < p->n; s++, x += p->t * i, h0 += h, state += h, y += p->last ? h : p->t * h) {
    const int32_t steps = steps_of(lengths[s], p->t);
    for (int32_t j = 0; j < h; j++) state[j] = h0[j];
    for (int32_t k = 0; k < steps; k++) {
      const int32_t at = step_at(k, steps, p->reverse);
      for (int32_t j = 0; j < i; j++) v[j] = (int16_t)(x[at * i + j] - p->in_zp);
      for (int32_t j = 0; j < h; j++) {
        const int64_t fine = (int64_t)dot_s16(v, p->w + j * i, i) * p->mx[j] +
                             (int64_t)dot_s16(state, p->r + j * h, h) * p->mh[j] + (int64_t)p->b[j] * p->mb;
        const int32_t a = clamp_i32(whole_steps(fine, p->shift), p->lo, p->hi);
        next[j] = (int16_t)(p->relu ? max_i32(a, 0) : tanh_s16_of(p->table, a, 3, 0));
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
