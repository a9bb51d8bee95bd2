/* What every kernel may assume: exact-width integers and two spellings the language lacks. */
#ifndef LILLIPUT_BASE_H
#define LILLIPUT_BASE_H
#include <stddef.h>
#include <stdint.h>

/* A freestanding compiler has no string.h, yet always supplies these. */
void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

#if defined(__GNUC__) || defined(__clang__)
#define LILLIPUT_INLINE static inline __attribute__((always_inline, unused))
#define LILLIPUT_NOINLINE __attribute__((noinline))
#define LILLIPUT_UNUSED __attribute__((unused))
/* Assembly and nothing else: arguments lie where the calling convention has them. `used`, so that no compiler leaves out
   arguments that it sees no use of. */
#define LILLIPUT_NAKED __attribute__((naked, noinline, used))
#else
#define LILLIPUT_INLINE static inline
#define LILLIPUT_NOINLINE
#define LILLIPUT_UNUSED
#endif

/* The tallest window of any row kernel in this file; the emitter sets it. */
#ifndef LILLIPUT_TAPS
#define LILLIPUT_TAPS 16
#endif

LILLIPUT_INLINE int32_t min_i32(int32_t a, int32_t b) { return a < b ? a : b; }
LILLIPUT_INLINE int32_t max_i32(int32_t a, int32_t b) { return a > b ? a : b; }
LILLIPUT_INLINE int32_t clamp_i32(int32_t v, int32_t lo, int32_t hi) { return min_i32(max_i32(v, lo), hi); }

#endif
