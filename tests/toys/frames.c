/* Frames of every kind: large, over-aligned, with floats, called from a switch. */
#include "frames.h"

__attribute__((noinline)) static void fill(volatile unsigned char *x, int n)
{
    for (int i = 0; i < n; i++) {
        x[i] = (unsigned char)i;
    }
}

__attribute__((noinline)) static int deep(int n)
{
    volatile unsigned char b[5000];
    fill(b, 5000);
    return b[n];
}

__attribute__((noinline)) static int aligned(int n)
{
    __attribute__((aligned(32))) volatile unsigned char b[64];
    fill(b, 64);
    return b[n] + deep(n);
}

__attribute__((noinline)) static float floats(float a, float b, int n)
{
    volatile float z = 1.0f;
    return a * b + z + (float)deep(n) * a + b;
}

__attribute__((noinline)) static int cases(int n, int m)
{
    switch (n) {
    case 0:
        return m * 3;
    case 1:
        return m / 5;
    case 2:
        return deep(m);
    case 3:
        return m ^ 5;
    case 4:
        return aligned(m);
    case 5:
        return m - 100;
    default:
        return 7;
    }
}

int frames_run(void *arena, size_t arena_size)
{
    const unsigned char *a = arena;
    int r = aligned(a[0] & 15);
    r += (int)floats((float)a[1], 2.0f, a[2] & 7);
    return r + cases((int)arena_size & 7, a[3]);
}

int frames_selftest(void *arena, size_t arena_size)
{
    return frames_run(arena, arena_size) == 9 ? 0 : 1;
}
