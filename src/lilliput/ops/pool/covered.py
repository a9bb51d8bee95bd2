"""How many elements of an axis each window covers; what lies in the padding does not count."""

from __future__ import annotations

import numpy as np

from lilliput.graph import Array, Shape
from lilliput.ops.conv.common import Pair, Windowed, out_size


def covered(size: int, window: int, stride: int, dilation: int, pad: Pair) -> Array:
    """int64, one number for each position of the window."""
    first = np.arange(out_size(size, window, stride, dilation, pad), dtype=np.int64) * stride - pad[0]
    before, within = (np.clip(-((first - end) // dilation), 0, window) for end in (0, size))
    return np.asarray(np.maximum(within - before, 0))


def covered_pixels(op: Windowed, window: Pair, shape: Shape) -> Array:
    """The same for both axes of an NHWC input: [OH, OW]."""
    rows, columns = (
        covered(shape[1 + i], window[i], op.stride[i], op.dilation[i], op.padding[i]) for i in (0, 1)
    )
    return np.asarray(np.multiply.outer(rows, columns))
