/* Integer long short-term memory exactly as TensorFlow Lite Micro computes it, int16 gates and cell; see tflm.py.
   T is the type of input, state and result, A that of their sums, SCALE brings these to steps of a gate's argument. */
#include "gates_s16.h"
#include "requantize_wide.h"

typedef struct {
  int32_t n, t, i, h, reverse, last;
  const int8_t *w, *r; /* [4][h][i], [4][h][h]; gates: input, forget, cell, output */
  const A *bx, *bh;    /* [4][h]: what both sums start from, zero points included; bh may be null */
  const int32_t *mx, *sx, *mh, *sh; /* [4][h]: multipliers and shifts of both sums */
  const uint16_t *table;
  int32_t forget_mult, forget_shift, fresh_mult, fresh_shift, out_mult, out_shift, out_zp, lo, hi;
  int32_t tanh_factor, tanh_shift, cell_clip;
} KERNEL_t;

/* sum + v . w over n elements; the caller proved that it fits. */
LILLIPUT_INLINE A KERNEL_dot(const T *v, const int8_t *w, int32_t n, A sum) {
  for (int32_t i = 0; i < n; i++) sum += v[i] * w[i];
  return sum;
}

LILLIPUT_INLINE int32_t KERNEL_argument(const KERNEL_t *p, int32_t row, const T *x, const T *state) {
  const A of_x = KERNEL_dot(x, p->w + row * p->i, p->i, p->bx[row]);
  const A of_h = KERNEL_dot(state, p->r + row * p->h, p->h, p->bh ? p->bh[row] : 0);
  return clamp_s16(clamp_s16(SCALE(of_x, p->mx[row], p->sx[row])) + clamp_s16(SCALE(of_h, p->mh[row], p->sh[row])));
}

/* One step of unit j: its new state; the cell is updated in place. */
LILLIPUT_INLINE T KERNEL_unit(const KERNEL_t *p, int32_t j, const T *x, const T *state,
                                    int16_t *cell) {
  const int32_t h = p->h;
  const int32_t in = sigmoid_s16_of(p->table, KERNEL_argument(p, j, x, state));
  const int32_t forget = sigmoid_s16_of(p->table, KERNEL_argument(p, h + j, x, state));
  const int32_t value = tanh_s16_of(p->table, KERNEL_argument(p, 2 * h + j, x, state), 3, 0);
  const int32_t held = clamp_s16(scale_by(forget * cell[j], p->forget_mult, p->forget_shift));
  const int32_t fresh = clamp_s16(scale_by(in * value, p->fresh_mult, p->fresh_shift));
  const int32_t c = clamp_i32(clamp_s16(held + fresh), -p->cell_clip, p->cell_clip);
  const int32_t out = sigmoid_s16_of(p->table, KERNEL_argument(p, 3 * h + j, x, state));
  cell[j] = (int16_t)c;
  const int32_t value_of_c = tanh_s16_of(p->table, c, p->tanh_factor, p->tanh_shift);
  return (T)clamp_i32(scale_by(value_of_c * out, p->out_mult, p->out_shift) + p->out_zp, p->lo, p->hi);
}

static void KERNEL(const KERNEL_t *p, const T *x, const T *h0, const int16_t *c0, const int32_t *lengths,
                    T *y, T *state, int16_t *cell, void *scratch) {
  const int32_t h = p->h;
  T *const next = scratch; /* [h]: all sums read the old state */
  for (int32_t s = 0; s < p->n; s++, x += p->t * p->i, h0 += h, c0 += h, state += h, cell += h) {
    const int32_t steps = steps_of(lengths[s], p->t);
    for (int32_t j = 0; j < h; j++) {
      state[j] = h0[j];
      cell[j] = c0[j];
    }
    for (int32_t k = 0; k < steps; k++) {
      const int32_t at = step_at(k, steps, p->reverse);
      for (int32_t j = 0; j < h; j++) next[j] = KERNEL_unit(p, j, x + at * p->i, state, cell);
      for (int32_t j = 0; j < h; j++) {
        state[j] = next[j];
        if (!p->last) y[at * h + j] = next[j];
      }
    }
    if (p->last) {
      for (int32_t j = 0; j < h; j++) y[j] = state[j];
      y += h;
    } else {
      for (int32_t j = steps * h; j < p->t * h; j++) y[j] = (T)p->out_zp;
      y += p->t * h;
    }
  }
}
