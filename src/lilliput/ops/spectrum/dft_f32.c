/* float32 discrete Fourier transform of [outer][there][inner][parts], whose first n count, to [outer][bins][inner][out_parts], straight from its sum.
   Parts are real and imaginary; a single one is real. A onesided inverse takes the rest of the spectrum as the conjugate.
   Order of accumulation: as the values lie along the axis. */
#include "base.h"

typedef struct {
  const float *cosine, *sine; /* [length]: of 2 pi k / length; the sine negated for the forward transform */
  int32_t outer, n, there, inner, parts, bins, out_parts, length;
  int32_t mirrored; /* values from 1 to this count twice, as their conjugates do */
  float scale;
} dft_f32_t;

static void dft_f32(const dft_f32_t *p, const float *x, float *y) {
  const int32_t step = p->inner * p->parts;
  for (int32_t o = 0; o < p->outer; o++, x += p->there * step) {
    for (int32_t k = 0; k < p->bins; k++) {
      for (int32_t i = 0; i < p->inner; i++) {
        const float *v = x + i * p->parts;
        float real = 0.0f, imaginary = 0.0f;
        int32_t turn = 0; /* k t mod length */
        for (int32_t t = 0; t < p->n; t++, v += step) {
          const float twice = t > 0 && t <= p->mirrored ? 2.0f : 1.0f;
          const float c = p->cosine[turn] * twice, s = p->sine[turn] * twice;
          if (p->parts == 2) {
            real += v[0] * c - v[1] * s;
            imaginary += v[0] * s + v[1] * c;
          } else {
            real += v[0] * c;
            imaginary += v[0] * s;
          }
          turn += k;
          if (turn >= p->length) turn -= p->length;
        }
        *y++ = real * p->scale;
        if (p->out_parts == 2) *y++ = imaginary * p->scale;
      }
    }
  }
}
