"""What operators with indices as data share: which integers may index, and how they are kept inside."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Site
from lilliput.ops.shape.common import TYPES

HERE = Path(__file__).parent
INDEX_TYPES = ("int32", "int64")
C_INDEX = {"int32": "int32_t", "int64": "int64_t"}


def within(indices: Array, n: int) -> Array:
    """Counted from the end when negative, then kept within 0 .. n - 1; `index_within` of index.h."""
    wide = indices.astype(np.int64)
    return np.clip(np.where(wide < 0, wide + n, wide), 0, n - 1)


def volume(shape: Shape) -> int:
    return math.prod(shape)


def wrong_indices(t: Tensor) -> str | None:
    """Why a tensor cannot index, or None."""
    if t.dtype not in INDEX_TYPES:
        return f"the indices '{t.name}' are {t.dtype}, expected {' or '.join(INDEX_TYPES)}"
    return None


def alike(site: Site, *operands: int) -> bool:
    """The result and the given inputs have one type that can be moved, and one quantization."""
    y = site.y
    if y.dtype not in TYPES:
        return False
    for i in operands:
        t = site.ins[i]
        same = y.quant is t.quant or (t.quant is not None and t.quant.same(y.quant))
        if t.dtype != y.dtype or not same:
            return False
    return True


def stored(t: Tensor, y: Tensor) -> Array:
    """A constant as it lies in the result: a table that stayed real is quantized like it."""
    assert t.data is not None
    if t.dtype == "float32" and y.quant is not None:
        return y.quant.quantize(t.data, y.dtype)
    return t.data


def packs(t: Tensor, y: Tensor) -> bool:
    """Whether `stored` is possible."""
    if not t.constant:
        return False
    same = t.dtype == y.dtype and (y.quant is t.quant or (t.quant is not None and t.quant.same(y.quant)))
    return same or (t.dtype == "float32" and y.quant is not None)


def as_bytes(values: Array) -> Array:
    return np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
