/* The model's arena, of the size and alignment its header asks for; the tool defines the three names. */
#include LILLIPUT_MODEL_HEADER

extern unsigned char lilliput_model_arena[LILLIPUT_ARENA_SIZE];

__attribute__((used, section(".lilliput_arena"), aligned(LILLIPUT_ARENA_ALIGN))) unsigned char
    lilliput_model_arena[LILLIPUT_ARENA_SIZE];
