/* memcpy, memmove, memset, memcmp for compilers that call them but bring none; linked only where they are used. */
#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* Keeps the compiler from recognising the loop and calling the function it stands in. */
#define KEEP_LOOP() __asm__ volatile("" ::: "memory")

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
    unsigned char *y = to;
    const unsigned char *x = from;
    for (size_t i = 0; i < n; i++) {
        y[i] = x[i];
        KEEP_LOOP();
    }
    return to;
}

void *memmove(void *to, const void *from, size_t n)
{
    unsigned char *y = to;
    const unsigned char *x = from;
    if (y < x) {
        for (size_t i = 0; i < n; i++) {
            y[i] = x[i];
            KEEP_LOOP();
        }
    } else {
        for (size_t i = n; i > 0; i--) {
            y[i - 1] = x[i - 1];
            KEEP_LOOP();
        }
    }
    return to;
}

void *memset(void *to, int value, size_t n)
{
    unsigned char *y = to;
    for (size_t i = 0; i < n; i++) {
        y[i] = (unsigned char)value;
        KEEP_LOOP();
    }
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a;
    const unsigned char *y = b;
    for (size_t i = 0; i < n; i++) {
        if (x[i] != y[i]) {
            return x[i] < y[i] ? -1 : 1;
        }
    }
    return 0;
}
