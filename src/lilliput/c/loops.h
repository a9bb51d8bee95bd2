/* How a loop is to be compiled: unrolling every short loop only grows the code where little time is spent. */
#ifndef LILLIPUT_LOOPS_H
#define LILLIPUT_LOOPS_H

#if defined(__clang__)
#define LILLIPUT_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__) && __GNUC__ >= 8
#define LILLIPUT_ROLLED _Pragma("GCC unroll 1")
#else
#define LILLIPUT_ROLLED
#endif

#endif
