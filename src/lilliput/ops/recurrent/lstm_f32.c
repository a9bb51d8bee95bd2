/* float32 long short-term memory. Each sum adds the bias, then the input's products, then the state's, then the cell's.
   GATE is the function that applies the layer's activation functions. */
#include "gates_f32.h"

typedef struct {
  int32_t n, t, i, h, reverse, last;
  const float *w, *r, *b; /* [4][h][i], [4][h][h], [4][h]; gates: input, forget, cell, output */
  const int32_t *functions;
  const float *factors;
  float clip;
  const float *p; /* [3][h]: the cell's share in input, forget, output gate; null without */
  int32_t coupled;
  float cell_clip;
} KERNEL_t;

LILLIPUT_INLINE float KERNEL_sum(const KERNEL_t *p, int32_t row, const float *x, const float *state) {
  return dot_f32(state, p->r + row * p->h, p->h, dot_f32(x, p->w + row * p->i, p->i, p->b[row]));
}

static void KERNEL(const KERNEL_t *p, const float *x, const float *h0, const float *c0, const int32_t *lengths,
                     float *y, float *state, float *cell, void *scratch) {
  const int32_t h = p->h;
  float *const next = scratch; /* [h]: all sums read the old state */
  for (int32_t s = 0; s < p->n; s++, x += p->t * p->i, h0 += h, c0 += h, state += h, cell += h) {
    const int32_t steps = steps_of(lengths[s], p->t);
    for (int32_t j = 0; j < h; j++) {
      state[j] = h0[j];
      cell[j] = c0[j];
    }
    for (int32_t k = 0; k < steps; k++) {
      const int32_t at = step_at(k, steps, p->reverse);
      const float *const v = x + at * p->i;
      for (int32_t j = 0; j < h; j++) {
        float c = cell[j];
        float in = KERNEL_sum(p, j, v, state);
        if (p->p) in += p->p[j] * c;
        in = GATE(p->functions[0], p->factors, p->clip, in);
        float forget = 1.0f - in;
        if (!p->coupled) {
          forget = KERNEL_sum(p, h + j, v, state);
          if (p->p) forget += p->p[h + j] * c;
          forget = GATE(p->functions[0], p->factors, p->clip, forget);
        }
        c = forget * c + in * GATE(p->functions[1], p->factors + 2, p->clip, KERNEL_sum(p, 2 * h + j, v, state));
        c = c < -p->cell_clip ? -p->cell_clip : c > p->cell_clip ? p->cell_clip : c;
        cell[j] = c;
        float out = KERNEL_sum(p, 3 * h + j, v, state);
        if (p->p) out += p->p[2 * h + j] * c;
        out = GATE(p->functions[0], p->factors, p->clip, out);
        next[j] = out * GATE(p->functions[2], p->factors + 4, p->clip, c);
      }
      for (int32_t j = 0; j < h; j++) {
        state[j] = next[j];
        if (!p->last) y[at * h + j] = next[j];
      }
    }
    if (p->last) {
      for (int32_t j = 0; j < h; j++) y[j] = state[j];
      y += h;
    } else {
      for (int32_t j = steps * h; j < p->t * h; j++) y[j] = 0.0f;
      y += p->t * h;
    }
  }
}
