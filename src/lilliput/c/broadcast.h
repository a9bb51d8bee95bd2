/* The loops of operators of two operands: every element of the result, whichever axes of an operand are repeated. */
#ifndef LILLIPUT_BROADCAST_H
#define LILLIPUT_BROADCAST_H
#include "base.h"

/* *y from *a and *b; the types behind the pointers are the kernel's. */
typedef void element_t(const void *params, const void *a, const void *b, void *y);

/* `walk` is [3][4]: extents, steps of a, steps of b; outermost first. `size` is that of an operand's element in bytes, `pace` that
   of the result's. Inlined, so that no element costs a call. */
LILLIPUT_INLINE void broadcast_to(element_t *element, const void *params, const int32_t *walk, int32_t size,
                                  int32_t pace, const void *from_a, const void *from_b, void *to) {
  const int32_t *n = walk, *sa = n + 4, *sb = n + 8;
  const unsigned char *a = from_a, *b = from_b;
  unsigned char *y = to;
  for (int32_t i = 0; i < n[0]; i++) {
    for (int32_t j = 0; j < n[1]; j++) {
      for (int32_t k = 0; k < n[2]; k++) {
        const unsigned char *u = a + size * (i * sa[0] + j * sa[1] + k * sa[2]);
        const unsigned char *v = b + size * (i * sb[0] + j * sb[1] + k * sb[2]);
        for (int32_t l = 0; l < n[3]; l++, u += size * sa[3], v += size * sb[3], y += pace) {
          element(params, u, v, y);
        }
      }
    }
  }
}

/* Where the result's elements are as large as the operands'. */
LILLIPUT_INLINE void broadcast(element_t *element, const void *params, const int32_t *walk, int32_t size,
                               const void *from_a, const void *from_b, void *to) {
  broadcast_to(element, params, walk, size, size, from_a, from_b, to);
}

#endif
