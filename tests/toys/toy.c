/* The toy: y = clamp(x * w); y = y * 3 / (w + 20); four sums of eight, shifted. */
#include "toy.h"

static const int8_t toy_w[32] = {1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16,
                                 1, 2,  3, 4,  5, 6,  7, 8,  9, 10,  11, 12,  13, 14,  15, 16};

__attribute__((noinline)) static void toy_l0(unsigned char *arena)
{
    const int8_t *x = (const int8_t *)arena;
    int8_t *y = (int8_t *)arena + 32;
    for (int i = 0; i < 32; i++) {
        int v = x[i] * toy_w[i];
        y[i] = (int8_t)(v > 127 ? 127 : v < -128 ? -128 : v);
    }
}

__attribute__((noinline)) static int toy_divide(int a, int b)
{
    return a / b;
}

__attribute__((noinline)) static void toy_l1(unsigned char *arena)
{
    int8_t *y = (int8_t *)arena + 32;
    volatile int scratch[16];
    for (int i = 0; i < 32; i++) {
        scratch[i & 15] = y[i] * 3;
        y[i] = (int8_t)toy_divide(scratch[i & 15], toy_w[i] + 20);
    }
}

__attribute__((noinline)) static int32_t toy_l2(unsigned char *arena)
{
    const int8_t *x = (const int8_t *)arena + 32;
    int8_t *y = (int8_t *)arena + 64;
    for (int j = 0; j < 4; j++) {
        int sum = 0;
        for (int i = 0; i < 8; i++) {
            sum += x[8 * j + i];
        }
        y[j] = (int8_t)(sum >> 2);
    }
    return y[0];
}

int8_t *toy_input(void *arena)
{
    return (int8_t *)arena;
}

const int8_t *toy_output(const void *arena)
{
    return (const int8_t *)arena + 64;
}

toy_status_t toy_run(void *arena, size_t arena_size)
{
    if (arena == NULL || arena_size < TOY_ARENA_SIZE) {
        return TOY_ERR_ARENA;
    }
    toy_l0(arena);
    toy_l1(arena);
    (void)toy_l2(arena);
    return TOY_OK;
}

int32_t toy_tail(void *arena)
{
    toy_l0(arena);
    toy_l1(arena);
    return toy_l2(arena);
}

toy_status_t toy_selftest(void *arena, size_t arena_size)
{
    static const int8_t golden[4] = {6, 14, 4, 19};
    int8_t *x = toy_input(arena);
    for (int i = 0; i < 32; i++) {
        x[i] = (int8_t)(i - 16);
    }
    toy_status_t status = toy_run(arena, arena_size);
    const int8_t *y = toy_output(arena);
    for (int j = 0; j < 4 && status == TOY_OK; j++) {
        status = y[j] == golden[j] ? TOY_OK : TOY_ERR_WRONG;
    }
    return status;
}
