/* What integer recurrent kernels share: dot products of an int16 vector with rows of int8 weights, gates in int16. */
#ifndef LILLIPUT_GATES_S16_H
#define LILLIPUT_GATES_S16_H
#include "base.h"
#include "requantize.h"
#include "steps.h"

/* v . w over n elements. The caller proved that no sum overflows. */
LILLIPUT_INLINE int32_t dot_s16(const int16_t *v, const int8_t *w, int32_t n) {
  int32_t sum = 0;
  for (int32_t i = 0; i < n; i++) sum += v[i] * w[i];
  return sum;
}

/* The same with four rows of weights, `pitch` apart: each element of v is loaded once. */
LILLIPUT_INLINE void dot4_s16(const int16_t *v, const int8_t *w, int32_t pitch, int32_t n, int32_t *sums) {
  const int8_t *const w1 = w + pitch, *const w2 = w1 + pitch, *const w3 = w2 + pitch;
  int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
  for (int32_t i = 0; i < n; i++) {
    const int32_t x = v[i];
    s0 += x * w[i];
    s1 += x * w1[i];
    s2 += x * w2[i];
    s3 += x * w3[i];
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
  sums[3] = s3;
}

/* And with three. */
LILLIPUT_INLINE void dot3_s16(const int16_t *v, const int8_t *w, int32_t pitch, int32_t n, int32_t *sums) {
  const int8_t *const w1 = w + pitch, *const w2 = w1 + pitch;
  int32_t s0 = 0, s1 = 0, s2 = 0;
  for (int32_t i = 0; i < n; i++) {
    const int32_t x = v[i];
    s0 += x * w[i];
    s1 += x * w1[i];
    s2 += x * w2[i];
  }
  sums[0] = s0;
  sums[1] = s1;
  sums[2] = s2;
}

/* (fine >> shift); the caller proved that it fits. */
LILLIPUT_INLINE int32_t whole_steps(int64_t fine, int32_t shift) { return (int32_t)(fine >> shift); }

LILLIPUT_INLINE int32_t clamp_s16(int32_t v) { return clamp_i32(v, INT16_MIN, INT16_MAX); }

/* a b 2^-15, halves up. */
LILLIPUT_INLINE int32_t product_s16(int32_t a, int32_t b) { return (a * b + (1 << 14)) >> 15; }

/* Q3.12 -> Q0.15: lines between the points of a table of the logistic function of i / 24 in Q0.16; TFLM's numbers. */
LILLIPUT_INLINE int32_t sigmoid_s16_of(const uint16_t *table, int32_t x) {
  const int32_t v = x * 3;
  const int32_t size = v < 0 ? -v : v;
  const int32_t place = min_i32(size >> 9, 254), low = table[place];
  const int32_t line = (low << 9) + (size & 0x1ff) * (table[place + 1] - low);
  const int32_t share = size >> 9 >= 255 ? 0x7fff << 10 : line;
  return (v < 0 ? (1 << 25) - share + (1 << 9) - 1 : share + (1 << 9)) >> 10;
}

/* tanh of x factor / 2^shift 12288ths, in Q0.15; |x factor| < 2^30. */
LILLIPUT_INLINE int32_t tanh_s16_of(const uint16_t *table, int32_t x, int32_t factor, int32_t shift) {
  const int32_t v = (x * factor + (shift > 0 ? 1 << (shift - 1) : 0)) >> shift;
  const int32_t size = v < 0 ? -v : v;
  const int32_t place = min_i32(size >> 8, 254), low = table[place];
  const int32_t line = (low << 8) + (size & 0xff) * (table[place + 1] - low);
  const int32_t share = (size >> 8 >= 255 ? 0xffff << 8 : line) - (1 << 23);
  return (v < 0 ? -share + (1 << 7) - 1 : share + (1 << 7)) >> 8;
}

/* The int8 result of an int16 state. */
LILLIPUT_INLINE int8_t shown_s8(int32_t h, int32_t mult, int32_t shift, int32_t zero) {
  return saturate_s8(scale_by(h, mult, shift) + zero);
}

#endif
