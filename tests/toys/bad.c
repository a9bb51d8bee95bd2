/* Functions that misbehave, each in its own way. */
#include "bad.h"

static const unsigned char bad_table[4] = {1, 2, 3, 4};

int bad_write(void *arena, size_t at)
{
    volatile unsigned char *a = arena;
    a[at] = 1;
    return 7;
}

int bad_flash(int at)
{
    *(volatile unsigned char *)((uintptr_t)bad_table + (unsigned)at) = 1;
    return 0;
}

int bad_null(int *nowhere)
{
    return *(volatile int *)nowhere;
}

int bad_recursion(int depth)
{
    volatile int x[64];
    x[0] = depth;
    return depth == 0 ? 0 : bad_recursion(depth - 1) + x[0];
}

int bad_endless(void)
{
    for (;;) {
        __asm__ volatile("" ::: "memory");
    }
}

int bad_indirect(int x, int (*f)(int))
{
    return f(x) + 1;
}

int bad_ram_code(int (*f)(int))
{
    return f(0) + 1;
}

int bad_selftest(void *arena, size_t arena_size)
{
    return bad_write(arena, arena_size - 1u);
}
