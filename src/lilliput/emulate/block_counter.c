/* Counts executed code by address, natively: the emulator calls `lilliput_block` at the start of every block,
 * and, for a core that cannot do misaligned accesses, `lilliput_access` at every access.
 *
 * Adding 1 where a block begins and subtracting 1 behind its end makes the running sum over addresses the number of
 * executions of each, whatever the emulator chose as blocks. A stop is an address before which the engine is halted.
 */
#include <stdint.h>

typedef struct {
    uint64_t base;         /* first address of the code */
    uint64_t halfwords;    /* its length */
    int64_t *edges;        /* halfwords + 1 */
    uint64_t *taken;       /* [i]: how often the block whose last halfword is i was left by a jump */
    const uint8_t *stops;  /* [i]: 1 = stop before the instruction at halfword i */
    int (*stop)(void *engine);
    uint64_t resume;       /* this address is passed once although it is a stop; 1 = none */
    uint64_t previous_end; /* end of the block that ran last; 0 = none */
    uint64_t outside;      /* blocks outside the code */
    uint64_t budget;       /* blocks left before a run without end is halted */
    uint64_t misaligned;   /* address of the first misaligned access; 0 = none */
} lilliput_counter_t;

void lilliput_block(void *engine, uint64_t address, uint32_t size, void *user);
void lilliput_access(void *engine, int type, uint64_t address, int size, int64_t value, void *user);

void lilliput_block(void *engine, uint64_t address, uint32_t size, void *user)
{
    lilliput_counter_t *c = user;
    uint64_t first = (address - c->base) >> 1;
    uint64_t last = first + (size >> 1);
    if (last > c->halfwords || first >= c->halfwords) {
        c->outside++;
        c->previous_end = 0;
        return;
    }
    if ((c->stops[first] != 0 && address != c->resume) || c->budget == 0) {
        (void)c->stop(engine);
        return;
    }
    c->budget--;
    c->resume = 1;
    if (c->previous_end != 0 && c->previous_end != address) {
        c->taken[((c->previous_end - c->base) >> 1) - 1]++;
    }
    c->previous_end = address + size;
    c->edges[first]++;
    c->edges[last]--;
}

void lilliput_access(void *engine, int type, uint64_t address, int size, int64_t value, void *user)
{
    lilliput_counter_t *c = user;
    (void)type;
    (void)value;
    if ((address & ((uint64_t)size - 1u)) != 0 && c->misaligned == 0) {
        c->misaligned = address;
        (void)c->stop(engine);
    }
}
