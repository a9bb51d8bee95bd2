/* y = condition ? a : b element by element. Any broadcasting of all three; may run in place on a or b of the result's size. */
#include "base.h"

typedef struct {
  const int32_t *walk; /* [4][5]: extents, steps of the condition, of a, of b; outermost first */
} KERNEL_t;

static void KERNEL(const KERNEL_t *p, const uint8_t *condition, const T *a, const T *b, T *y) {
  const int32_t *n = p->walk, *sc = n + 5, *sa = n + 10, *sb = n + 15;
  for (int32_t h = 0; h < n[0]; h++) {
    for (int32_t i = 0; i < n[1]; i++) {
      for (int32_t j = 0; j < n[2]; j++) {
        for (int32_t k = 0; k < n[3]; k++) {
          const uint8_t *c = condition + (h * sc[0] + i * sc[1] + j * sc[2] + k * sc[3]);
          const T *u = a + (h * sa[0] + i * sa[1] + j * sa[2] + k * sa[3]);
          const T *v = b + (h * sb[0] + i * sb[1] + j * sb[2] + k * sb[3]);
          for (int32_t l = 0; l < n[4]; l++, c += sc[4], u += sa[4], v += sb[4]) *y++ = *c != 0 ? *u : *v;
        }
      }
    }
  }
}
