/* The frame of an assembly function on RV32: 64 bytes, of which the return address and s0 to s11 take 52. */
#ifndef LILLIPUT_RV32_FRAME_H
#define LILLIPUT_RV32_FRAME_H

/* Every register that belongs to the caller, by HOW: "sw" to keep it, "lw" to give it back. */
#define RV32_REGISTERS(HOW) \
  HOW " ra, 60(sp)\n" \
  HOW " s0, 56(sp)\n" \
  HOW " s1, 52(sp)\n" \
  HOW " s2, 48(sp)\n" \
  HOW " s3, 44(sp)\n" \
  HOW " s4, 40(sp)\n" \
  HOW " s5, 36(sp)\n" \
  HOW " s6, 32(sp)\n" \
  HOW " s7, 28(sp)\n" \
  HOW " s8, 24(sp)\n" \
  HOW " s9, 20(sp)\n" \
  HOW " s10, 16(sp)\n" \
  HOW " s11, 12(sp)\n"

#endif
