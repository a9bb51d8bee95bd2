/* Functions that misbehave, each in its own way. */
#ifndef BAD_H
#define BAD_H
#include <stddef.h>
#include <stdint.h>

#define BAD_ARENA_SIZE 64u
#define BAD_ARENA_ALIGN 8u

int bad_write(void *arena, size_t at);      /* writes one byte at arena + at */
int bad_flash(int at);                      /* writes to its own constants */
int bad_null(int *nowhere);                 /* reads where it is told */
int bad_recursion(int depth);
int bad_endless(void);
int bad_indirect(int x, int (*f)(int));
int bad_ram_code(int (*f)(int));            /* jumps to data */
int bad_selftest(void *arena, size_t arena_size);
#endif
