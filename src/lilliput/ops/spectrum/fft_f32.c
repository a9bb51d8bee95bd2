/* float32 discrete Fourier transform along the last axis but the parts, of a power of two of samples: [rows][n][parts] to
   [rows][bins][out_parts]. Radix 2, decimation in time: log2(length) passes over a buffer of complex numbers. */
#include "base.h"

typedef struct {
  const float *cosine, *sine; /* [length]: of 2 pi k / length; the sine negated for the forward transform */
  int32_t rows, n, parts, bins, out_parts, length, bits, mirrored;
  float scale;
} fft_f32_t;

/* The low `bits` bits of i in reverse. */
LILLIPUT_INLINE int32_t fft_f32_reversed(int32_t i, int32_t bits) {
  int32_t r = 0;
  for (int32_t b = 0; b < bits; b++) r |= ((i >> b) & 1) << (bits - 1 - b);
  return r;
}

/* Sample t, zero behind the end; the second half of a onesided spectrum is the conjugate of the first. */
LILLIPUT_INLINE void fft_f32_load(const fft_f32_t *p, const float *x, int32_t t, float *to) {
  const int32_t conjugate = p->mirrored > 0 && t > p->length / 2;
  const int32_t from = conjugate ? p->length - t : t;
  const int32_t alone = p->mirrored > 0 && (from == 0 || from > p->mirrored); /* bins that must be real */
  to[0] = from < p->n ? x[from * p->parts] : 0.0f;
  to[1] = p->parts == 2 && from < p->n && !alone ? x[from * p->parts + 1] : 0.0f;
  if (conjugate) to[1] = -to[1];
}

static void fft_f32(const fft_f32_t *p, const float *x, float *y, void *scratch) {
  float *z = scratch; /* [length][2] */
  for (int32_t r = 0; r < p->rows; r++, x += p->n * p->parts) {
    for (int32_t t = 0; t < p->length; t++) fft_f32_load(p, x, t, z + 2 * fft_f32_reversed(t, p->bits));
    for (int32_t half = 1; half < p->length; half *= 2) {
      const int32_t turn = p->length / (2 * half);
      for (int32_t from = 0; from < p->length; from += 2 * half) {
        for (int32_t k = 0; k < half; k++) {
          float *a = z + 2 * (from + k), *b = a + 2 * half;
          const float c = p->cosine[k * turn], s = p->sine[k * turn];
          const float real = b[0] * c - b[1] * s, imaginary = b[0] * s + b[1] * c;
          b[0] = a[0] - real;
          b[1] = a[1] - imaginary;
          a[0] += real;
          a[1] += imaginary;
        }
      }
    }
    for (int32_t k = 0; k < p->bins; k++) {
      *y++ = z[2 * k] * p->scale;
      if (p->out_parts == 2) *y++ = z[2 * k + 1] * p->scale;
    }
  }
}
