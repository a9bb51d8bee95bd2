/* float32 gated recurrent unit. Each sum adds the bias, then the input's products, then the state's, in order.
   GATE is the function that applies the layer's activation functions. */
#include "gates_f32.h"

typedef struct {
  int32_t n, t, i, h, reverse, last;
  const float *w, *r, *b; /* [3][h][i], [3][h][h], [4][h]; gates: reset, update, new */
  const int32_t *functions;
  const float *factors;
  float clip;
  int32_t linear_before_reset;
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const float *x, const float *h0, const int32_t *lengths, float *y, float *state,
                    void *scratch) {
  const int32_t h = p->h, i = p->i;
  float *const next = scratch;           /* [h]: z, then the new state; all sums read the old one */
  float *const reset = next + h;         /* [h]: r, or r h */
  const float *const rn = p->r + 2 * h * h, *const wn = p->w + 2 * h * i;
  for (int32_t s = 0; s < p->n; s++, x += p->t * i, h0 += h, state += h, y += p->last ? h : p->t * h) {
    const int32_t steps = steps_of(lengths[s], p->t);
    for (int32_t j = 0; j < h; j++) state[j] = h0[j];
    for (int32_t k = 0; k < steps; k++) {
      const int32_t at = step_at(k, steps, p->reverse);
      const float *const v = x + at * i;
      for (int32_t g = 0; g < 2; g++) {
        float *const gate = g ? next : reset;
        for (int32_t j = 0; j < h; j++) {
          const float sum = dot_f32(v, p->w + (g * h + j) * i, i, p->b[g * h + j]);
          const float all = dot_f32(state, p->r + (g * h + j) * h, h, sum);
          gate[j] = GATE(p->functions[0], p->factors, p->clip, all);
        }
      }
      if (!p->linear_before_reset) {
        for (int32_t j = 0; j < h; j++) reset[j] *= state[j];
      }
      for (int32_t j = 0; j < h; j++) {
        float sum = dot_f32(v, wn + j * i, i, p->b[2 * h + j]);
        if (p->linear_before_reset) {
          sum += reset[j] * dot_f32(state, rn + j * h, h, p->b[3 * h + j]);
        } else {
          sum += dot_f32(reset, rn + j * h, h, p->b[3 * h + j]);
        }
        const float z = next[j];
        next[j] = (1.0f - z) * GATE(p->functions[1], p->factors + 2, p->clip, sum) + z * state[j];
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
