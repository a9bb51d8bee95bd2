/* Pieces of assembly that int8 kernels with MVE share. */
#ifndef LILLIPUT_MVE_ROUNDING_H
#define LILLIPUT_MVE_ROUNDING_H

/* Before VRSHL, which rounds halves up. `halves`: away from zero, by taking 1 from negative sums. `relu`: nothing, where the
   clamp makes all results below the zero point alike. */
#define MVE_ROUND(how) MVE_ROUND_##how
#define MVE_ROUND_halves(sum, free) "vshr.s32 " free ", " sum ", #31\nvadd.i32 " sum ", " sum ", " free "\n"
#define MVE_ROUND_relu(sum, free) ""

#endif
