/* The test harness: runs the model's self-test on the arena and leaves through semihosting with its status.
 *
 * The model's function is a weak reference and the arena's size a linker symbol, so that this file compiles to the
 * same bytes with a model and without one: what the model adds to the flash is a plain difference.
 */
#include <stddef.h>
#include <stdint.h>

extern int lilliput_selftest(void *arena, size_t arena_size) __attribute__((weak));
extern unsigned char lilliput_arena[];
extern unsigned char lilliput_arena_size[]; /* its address is the size */
void lilliput_main(void);
void lilliput_return(void);

#define SYS_EXIT_EXTENDED 0x20u
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

#if defined(__riscv)
void lilliput_semihosting(uint32_t operation, const uint32_t *block); /* in the start-up: assembly */
#else
static void lilliput_semihosting(uint32_t operation, const uint32_t *block)
{
    register uint32_t r0 __asm__("r0") = operation;
    register const uint32_t *r1 __asm__("r1") = block;
#if defined(__thumb__)
    __asm__ volatile("bkpt #0xab" : "+r"(r0) : "r"(r1) : "memory");
#else
    __asm__ volatile("swi 0x123456" : "+r"(r0) : "r"(r1) : "memory");
#endif
}
#endif

/* Where a function called from outside (by the emulator's host) returns to. */
__attribute__((used, noinline)) void lilliput_return(void)
{
    for (;;) {
        __asm__ volatile("" ::: "memory");
    }
}

void lilliput_main(void)
{
    uint32_t block[2] = {ADP_STOPPED_APPLICATION_EXIT, 0u};
    if (lilliput_selftest != NULL) {
        block[1] = (uint32_t)lilliput_selftest(lilliput_arena, (size_t)lilliput_arena_size);
    }
    lilliput_semihosting(SYS_EXIT_EXTENDED, block);
    lilliput_return();
}
