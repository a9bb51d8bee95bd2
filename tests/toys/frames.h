/* Frames of every kind: large, over-aligned, with floats, called from a switch. */
#ifndef FRAMES_H
#define FRAMES_H
#include <stddef.h>
#include <stdint.h>

#define FRAMES_ARENA_SIZE 64u
#define FRAMES_ARENA_ALIGN 16u

int frames_run(void *arena, size_t arena_size);
int frames_selftest(void *arena, size_t arena_size);
#endif
