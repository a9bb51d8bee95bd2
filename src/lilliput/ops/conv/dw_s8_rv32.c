/* int8 depthwise 3x3 convolution of one output row on RV32IM, one output per input channel; stride 1 or 2, at most one
   column of padding on either side. HALVES says how results are rounded: halves_up or
   halves_away. */
#include "rows.h"
#include "rv32_depthwise.h"

typedef struct {
  const int32_t *q; /* [channels]{bias, mult, nine weights and a shift in bytes, two bytes left free} */
  int32_t channels, ow, left, right, stride;
  int32_t in_zp, two_lo_z_1, lo_hi, hi;
} KERNEL_t;

LILLIPUT_NAKED static void KERNEL_channels(rv32_depthwise_t *row LILLIPUT_UNUSED) {
  __asm__(RV32_DEPTHWISE(HALVES));
}

static void KERNEL(const void *params, const void *const *rows, void *out, void *scratch) {
  const KERNEL_t *p = params;
  const int32_t inner = p->ow - p->right;
  const int32_t columns = p->stride == 1 ? inner + 2 - p->left : 2 * inner + 1 - p->left + p->right;
  rv32_depthwise_t row = {
      .row = {rows[0], rows[1], rows[2]},
      .y = out,
      .q = p->q,
      .q_end = p->q + 5 * p->channels,
      .pitch = p->channels,
      .inner = inner * p->channels,
      .left = p->left,
      .right = p->right,
      .stride_2 = p->stride == 2,
      .back = columns * p->channels - 1,
      .y_back = p->ow * p->channels - 1,
      .in_zp = p->in_zp,
      .two_lo_z_1 = p->two_lo_z_1,
      .lo_hi = p->lo_hi,
      .hi = p->hi,
  };
  (void)scratch;
  KERNEL_channels(&row);
}
