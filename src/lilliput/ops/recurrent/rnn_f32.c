/* float32 simple recurrent layer. Each sum adds the bias, then the input's products, then the state's, in order.
   GATE is the function that applies the layer's activation functions. */
#include "gates_f32.h"

typedef struct {
  int32_t n, t, i, h, reverse, last;
  const float *w, *r, *b; /* [h][i], [h][h], [h] */
  const int32_t *functions;
  const float *factors;
  float clip;
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const float *x, const float *h0, const int32_t *lengths, float *y, float *state,
                    void *scratch) {
  const int32_t h = p->h;
  float *const next = scratch; /* [h]: all sums read the old state */
  for (int32_t s = 0; s < p->n; s++, x += p->t * p->i, h0 += h, state += h, y += p->last ? h : p->t * h) {
    const int32_t steps = steps_of(lengths[s], p->t);
    for (int32_t j = 0; j < h; j++) state[j] = h0[j];
    for (int32_t k = 0; k < steps; k++) {
      const int32_t at = step_at(k, steps, p->reverse);
      for (int32_t j = 0; j < h; j++) {
        const float sum = dot_f32(x + at * p->i, p->w + j * p->i, p->i, p->b[j]);
        next[j] = GATE(p->functions[0], p->factors, p->clip, dot_f32(state, p->r + j * h, h, sum));
      }
      for (int32_t j = 0; j < h; j++) {
        state[j] = next[j];
        if (!p->last) y[at * h + j] = next[j];
      }
    }
    if (p->last) {
      for (int32_t j = 0; j < h; j++) y[j] = state[j];
    } else {
      for (int32_t j = steps * h; j < p->t * h; j++) y[j] = 0.0f;
    }
  }
}
