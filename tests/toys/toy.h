/* A three-layer toy with the interface of a generated model. */
#ifndef TOY_H
#define TOY_H
#include <stddef.h>
#include <stdint.h>

#define TOY_ARENA_SIZE 72u
#define TOY_ARENA_ALIGN 8u

typedef enum { TOY_OK = 0, TOY_ERR_ARENA = -2, TOY_ERR_WRONG = -9 } toy_status_t;

int8_t *toy_input(void *arena);               /* 32 bytes at offset 0 */
const int8_t *toy_output(const void *arena);  /* 4 bytes at offset 64 */
toy_status_t toy_run(void *arena, size_t arena_size);
int32_t toy_tail(void *arena); /* toy_run without status: its last layer is in tail position */
toy_status_t toy_selftest(void *arena, size_t arena_size);
#endif
