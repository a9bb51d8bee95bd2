/* Samples places of planes or volumes that come from data, float32: nearest (1 tap), linear (2) or cubic (4) along each axis.
   Places are -1 .. 1 from edge to edge, the last axis first; a place that is NaN or far away counts as far outside. */
#include "base.h"

enum { GRID_ZEROS, GRID_BORDER, GRID_REFLECTION };

typedef struct {
  const int32_t *sizes;                              /* [dims] of x, depth and height before width */
  int32_t batch, dims, m, c, taps, align, padding; /* places and channels per batch */
} grid_sample_f32_t;

/* Mirrored at lo and hi until it is between them. */
LILLIPUT_INLINE float grid_reflected(float v, float lo, float hi) {
  const float range = hi - lo;
  if (range <= 0.0f) return lo;
  const float d = v < lo ? lo - v : v > hi ? v - hi : 0.0f;
  const int32_t times = (int32_t)(d / range);
  const float rest = d - (float)times * range;
  if (v < lo) return times & 1 ? hi - rest : lo + rest;
  if (v > hi) return times & 1 ? lo + rest : hi - rest;
  return v;
}

LILLIPUT_INLINE int32_t grid_floor(float v) {
  const int32_t whole = (int32_t)v;
  return whole - (v < (float)whole ? 1 : 0);
}

/* Keys' cubic kernel with a = -0.75 at distance d >= 0. */
LILLIPUT_INLINE float grid_cubic(float d) {
  const float near = (1.25f * d - 2.25f) * d * d + 1.0f;
  const float far = ((-0.75f * d + 3.75f) * d - 6.0f) * d + 3.0f;
  return d <= 1.0f ? near : d < 2.0f ? far : 0.0f;
}

/* Indices (or -1 for nothing) and weights of the taps along one axis of n elements for the place g. */
LILLIPUT_INLINE void grid_taps(const grid_sample_f32_t *p, float g, int32_t n, int32_t *at, float *w) {
  const float limit = 1048576.0f, size = (float)n;
  const float lo = p->align ? 0.0f : -0.5f, hi = p->align ? size - 1.0f : size - 0.5f;
  float v = p->align ? (g + 1.0f) / 2.0f * (size - 1.0f) : ((g + 1.0f) * size - 1.0f) / 2.0f;
  v = v > -limit ? (v < limit ? v : limit) : -limit;
  if (p->taps == 1) v = (v + 12582912.0f) - 12582912.0f; /* to nearest, halves to even */
  if (v < lo || v > hi) {
    if (p->padding == GRID_BORDER && p->taps < 4) v = v < 0.0f ? 0.0f : size - 1.0f;
    if (p->padding == GRID_REFLECTION) v = grid_reflected(v, lo, hi);
  }
  const int32_t floor = grid_floor(v), first = floor - (p->taps == 4 ? 1 : 0);
  const float rest = v - (float)floor;
  for (int32_t t = 0; t < p->taps; t++) {
    const int32_t i = first + t;
    const float d = rest - (float)(i - floor), distance = d < 0.0f ? -d : d;
    w[t] = p->taps == 1 ? 1.0f : p->taps == 2 ? 1.0f - distance : grid_cubic(distance);
    at[t] = i;
    if (i < 0 || i >= n) {
      if (p->padding == GRID_ZEROS) at[t] = -1;
      if (p->padding == GRID_BORDER) at[t] = i < 0 ? 0 : n - 1;
      if (p->padding == GRID_REFLECTION) at[t] = clamp_i32((int32_t)grid_reflected((float)i, lo, hi), 0, n - 1);
    }
  }
}

static void grid_sample_f32(const grid_sample_f32_t *p, const float *x, const float *grid, float *y) {
  int32_t at[3][4], plane = p->c, combinations = 1;
  float w[3][4];
  for (int32_t i = 0; i < p->dims; i++) {
    plane *= p->sizes[i];
    combinations *= p->taps;
  }
  for (int32_t b = 0; b < p->batch; b++, x += plane) {
    for (int32_t j = 0; j < p->m; j++, y += p->c, grid += p->dims) {
      for (int32_t i = 0; i < p->dims; i++) grid_taps(p, grid[p->dims - 1 - i], p->sizes[i], at[i], w[i]);
      for (int32_t k = 0; k < p->c; k++) y[k] = 0.0f;
      for (int32_t combination = 0; combination < combinations; combination++) {
        float weight = 1.0f;
        int32_t place = 0, inside = 1, left = combination, unit = combinations;
        for (int32_t i = 0; i < p->dims; i++) {
          unit /= p->taps;
          const int32_t t = left / unit;
          left -= t * unit;
          inside &= at[i][t] >= 0 ? 1 : 0;
          weight *= w[i][t];
          place = place * p->sizes[i] + at[i][t];
        }
        for (int32_t k = 0; inside && k < p->c; k++) y[k] += weight * x[place * p->c + k];
      }
    }
  }
}
