/* Start-up of the Cortex-M firmware: the vector table and the reset handler, which enables FPU and MVE. */
#include <stdint.h>

extern unsigned char lilliput_stack_top[];
void lilliput_main(void);
void Reset_Handler(void);
void lilliput_unexpected(void);

/* A fault or interrupt nobody planned: stop with a status no self-test has. */
void lilliput_unexpected(void)
{
    for (;;) {
    }
}

void Reset_Handler(void)
{
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
    volatile uint32_t *cpacr = (volatile uint32_t *)0xE000ED88u;
    *cpacr |= 0xFu << 20; /* coprocessors 10 and 11: full access */
    __asm__ volatile("dsb\n isb" ::: "memory");
#endif
    lilliput_main();
}

typedef union {
    void *stack;
    void (*handler)(void);
} vector_t;

__attribute__((used, section(".vectors"))) static const vector_t vectors[16] = {
    {.stack = lilliput_stack_top},      {.handler = Reset_Handler},       {.handler = lilliput_unexpected},
    {.handler = lilliput_unexpected},   {.handler = lilliput_unexpected}, {.handler = lilliput_unexpected},
    {.handler = lilliput_unexpected},   {.stack = 0},                     {.stack = 0},
    {.stack = 0},                       {.stack = 0},                     {.handler = lilliput_unexpected},
    {.handler = lilliput_unexpected},   {.stack = 0},                     {.handler = lilliput_unexpected},
    {.handler = lilliput_unexpected},
};
