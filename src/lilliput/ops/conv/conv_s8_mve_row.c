/* int8 convolution of one output row with MVE whose windows are pieces of a row, such as pointwise ones. The windows of
   some pixels are copied before their results are written, so that those may take the input's place.
   The input's zero point is folded into the bias; every channel shifts right (proved offline). ROUNDING: mve_rounding.h. */
#include "mve_copy.h"
#include "mve_tiles.h"
#include "rows.h"

typedef struct {
  const int32_t *w; /* as of mve_tiles_t */
  int32_t words;    /* of w */
  int32_t blocks, taps, oc, ow;
  int32_t step;     /* bytes from a window to the next */
  int32_t together; /* pixels that are copied at once */
  int32_t out_zp, lo, hi;
} KERNEL_t;

static void KERNEL(const void *params, const void *const *rows, void *out, void *scratch) {
  const KERNEL_t *p = params;
  const int8_t *x = rows[0];
  const int32_t pitch = 16 * p->blocks;
  mve_tiles_t t = {.end = p->w + p->words, .blocks = p->blocks, .x0 = scratch, .w = p->w, .y = out, .oc = p->oc};
  t.rest = ((p->oc - 1) & 3) + 1;
  t.out_zp = p->out_zp, t.lo = p->lo, t.hi = p->hi;
  for (int32_t left = p->ow; left > 0; left -= p->together) {
    const int32_t pixels = min_i32(left, p->together);
    if (p->step == pitch && p->taps == pitch) {
      mve_copy(scratch, x, pixels * pitch);
    } else {
      mve_copy_pieces(scratch, pitch, x, p->step, pixels, p->taps);
    }
    mve_pixels(MVE_TILES(ROUNDING), &t, pixels, pitch);
    x += pixels * p->step;
    t.y += pixels * p->oc;
  }
}
