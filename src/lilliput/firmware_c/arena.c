/* The model's arena, of the size and alignment its header asks for; the tool defines the names. What a model keeps
   from run to run (nothing where its header does not speak of it) lies behind the arena. */
#include LILLIPUT_MODEL_HEADER

#if LILLIPUT_STATE_SIZE > 0
#define LILLIPUT_MEMORY (LILLIPUT_ARENA_SIZE + LILLIPUT_STATE_SIZE)
#else
#define LILLIPUT_MEMORY LILLIPUT_ARENA_SIZE
#endif

extern unsigned char lilliput_model_arena[LILLIPUT_MEMORY];

__attribute__((used, section(".lilliput_arena"), aligned(LILLIPUT_ARENA_ALIGN))) unsigned char
    lilliput_model_arena[LILLIPUT_MEMORY];
