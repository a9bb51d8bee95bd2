/* The k largest (flip 0) or smallest (flip -1) along one axis, in order; of equals the first comes first. */
#include "order.h"

typedef struct {
  int32_t outer, n, inner, k, flip; /* x is [outer][n][inner], the results are [outer][k][inner] */
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const T *x, T *values, I *indices) {
  const int32_t step = p->inner, k = p->k;
  for (int32_t o = 0; o < p->outer; o++) {
    for (int32_t c = 0; c < step; c++) {
      const T *from = x + o * p->n * step + c;
      T *v = values + o * k * step + c;
      I *at = indices + o * k * step + c;
      for (int32_t i = 0, kept = 0; i < p->n; i++) { /* insertion into the best so far, best first */
        const int64_t key = key_T(from[i * step], p->flip);
        int32_t j = kept;
        if (kept == k && key <= key_T(v[(k - 1) * step], p->flip)) continue;
        if (kept < k) kept++;
        else j--;
        for (; j > 0 && key > key_T(v[(j - 1) * step], p->flip); j--) {
          v[j * step] = v[(j - 1) * step];
          at[j * step] = at[(j - 1) * step];
        }
        v[j * step] = from[i * step];
        at[j * step] = i;
      }
    }
  }
}
