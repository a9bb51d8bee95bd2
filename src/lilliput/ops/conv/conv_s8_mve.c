/* int8 convolution of one output row with MVE, windows without gaps along the row. The rows are first copied column by
   column, [column][kh][ic], zero points where there is padding: then every window is one piece, [kw][kh][ic].
   The input's zero point is folded into the bias; every channel shifts right (proved offline). ROUNDING: mve_rounding.h. */
#include "mve_copy.h"
#include "mve_tiles.h"
#include "rows.h"

typedef struct {
  const int32_t *w;      /* as of mve_tiles_t */
  const uint8_t *places; /* [16] where `several` columns of the input go */
  int32_t words;         /* of w */
  int32_t blocks, oc, ow, kh, ic;
  int32_t left, inside, right; /* columns: padding, of the input, padding */
  int32_t step;                /* bytes from a window to the next */
  int32_t several;             /* columns that are copied at once, few channels each */
  int32_t in_zp, out_zp, lo, hi;
} KERNEL_t;

/* One row of the input to its place in the columns: several columns of few channels at a time, else as many channels as
   fit. */
LILLIPUT_INLINE void KERNEL_spread(const KERNEL_t *p, const int8_t *x, int8_t *to) {
  const int32_t pitch = p->kh * p->ic, ic = p->ic;
  if (p->several > 1) {
    const uint8x16_t places = vldrbq_u8(p->places);
    const int32_t n = p->several * ic;
    const mve_pred16_t all = vctp8q((uint32_t)n);
    int32_t left = p->inside * ic;
    LILLIPUT_ROLLED for (; left >= n; left -= n, x += n, to += p->several * pitch) {
      vstrbq_scatter_offset_p_s8(to, places, vldrbq_z_s8(x, all), all);
    }
    const mve_pred16_t some = vctp8q((uint32_t)left);
    vstrbq_scatter_offset_p_s8(to, places, vldrbq_z_s8(x, some), some);
    return;
  }
  mve_copy_pieces(to, pitch, x, ic, p->inside, ic);
}

LILLIPUT_NOINLINE static void KERNEL_columns(const KERNEL_t *p, const void *const *rows, int8_t *to) {
  const int32_t pitch = p->kh * p->ic;
  mve_fill(to, p->in_zp, p->left * pitch);
  to += p->left * pitch;
  for (int32_t ky = 0; ky < p->kh; ky++) KERNEL_spread(p, rows[ky], to + ky * p->ic);
  mve_fill(to + p->inside * pitch, p->in_zp, p->right * pitch);
}

static void KERNEL(const void *params, const void *const *rows, void *out, void *scratch) {
  const KERNEL_t *p = params;
  mve_tiles_t t = {.end = p->w + p->words, .blocks = p->blocks, .x0 = scratch, .w = p->w, .y = out, .oc = p->oc};
  t.rest = ((p->oc - 1) & 3) + 1;
  t.out_zp = p->out_zp, t.lo = p->lo, t.hi = p->hi;
  KERNEL_columns(p, rows, scratch);
  mve_pixels(MVE_TILES(ROUNDING), &t, p->ow, p->step);
}
