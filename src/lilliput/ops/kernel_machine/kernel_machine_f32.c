/* float32 support vector machine: F is the kernel function. One pass over the support vectors; each adds to the decision
   of every pair of classes that its own class is part of. Order of accumulation: the intercept, then the vectors. */
#include "similarity_f32.h"

typedef struct {
  const float *vectors;      /* [n][features], class by class */
  const float *coefficients; /* [n][classes - 1]: row r for the r-th other class, in the order of the classes */
  const float *intercepts;   /* [pairs] */
  const int32_t *counts;     /* [classes]: support vectors of each */
  int32_t features, classes, pairs, degree;
  float gamma, coef0;
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const float *x, float *y) {
  const similarity_t k = {.gamma = p->gamma, .coef0 = p->coef0, .degree = p->degree};
  const float *v = p->vectors, *c = p->coefficients;
  for (int32_t i = 0; i < p->pairs; i++) y[i] = p->intercepts[i];
  for (int32_t own = 0, first = 0; own < p->classes; own++) {
    for (int32_t n = p->counts[own]; n > 0; n--, v += p->features) {
      const float alike = F(&k, x, v, p->features);
      int32_t pair = own - 1; /* (0, own), then (1, own), ... */
      for (int32_t r = 0; r < own; pair += p->classes - r - 2, r++) y[pair] += alike * *c++;
      float *rest = y + first; /* (own, own + 1), (own, own + 2), ... */
      for (int32_t r = own + 1; r < p->classes; r++) *rest++ += alike * *c++;
    }
    first += p->classes - own - 1;
  }
}
