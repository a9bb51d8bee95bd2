"""What the data-movement operators share: walks over strided axes, and the kernels that follow them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lilliput.graph import ITEM_SIZE, Array, Shape
from lilliput.op import Kernel, Params, Site

HERE = Path(__file__).parent
MAX_RANK = 6
"""Axes the kernels can walk, after those that lie together have been merged."""
SHORTEST_RUN = 8
"""Bytes from which a call of memcpy is cheaper than a loop over elements."""
TYPES = ("int8", "uint8", "bool", "int16", "int32", "int64", "float32")


@dataclass(frozen=True)
class Walk:
    """Where the elements of a dense result come from: start + sum of index x stride, all in elements."""

    dims: tuple[int, ...]
    strides: tuple[int, ...]
    start: int = 0

    def merged(self) -> Walk:
        """The same elements in the same order with as few axes as possible; at least one remains."""
        axes: list[tuple[int, int]] = []
        for dim, stride in zip(self.dims, self.strides, strict=True):
            if dim == 1:
                continue
            if axes and axes[-1][1] == dim * stride:
                axes[-1] = (axes[-1][0] * dim, stride)
            else:
                axes.append((dim, stride))
        axes = axes or [(1, 1)]
        return Walk(tuple(d for d, _ in axes), tuple(s for _, s in axes), self.start)


def dense_strides(shape: Shape) -> tuple[int, ...]:
    """Elements from one index of an axis to the next, in a dense tensor."""
    return tuple(int(np.prod(shape[i + 1 :], dtype=np.int64)) for i in range(len(shape)))


def int32_array(values: Sequence[int]) -> Array:
    """A constant array for C; never empty, since C has no empty arrays."""
    return np.array(values if len(values) else [0], np.int32)


def moves(site: Site) -> bool:
    """Something computed is copied, and all operands have one type that the kernels can move."""
    computed = any(not t.constant for t in site.ins)
    return computed and site.y.dtype in TYPES and all(t.dtype == site.y.dtype for t in site.ins)


def moving_kernels(walk: Callable[[Site], Walk]) -> tuple[Kernel, ...]:
    """Kernels that copy what `walk(site)` describes: short runs element by element, all else with memcpy."""

    def short(*names: str) -> Callable[[Site], bool]:
        def when(site: Site) -> bool:
            return moves(site) and site.y.dtype in names and not _long_runs(walk(site), site)

        return when

    def elements(site: Site) -> Params:
        return _fields(walk(site).merged())

    def runs(site: Site) -> Params:
        return in_bytes(walk(site), ITEM_SIZE[site.y.dtype])

    return (
        Kernel(HERE / "move_8.c", short("int8", "uint8", "bool"), elements),
        Kernel(HERE / "move_f32.c", short("float32"), elements),
        Kernel(HERE / "move_runs.c", moves, runs),
    )


def _long_runs(walk: Walk, site: Site) -> bool:
    merged = walk.merged()
    return merged.strides[-1] == 1 and merged.dims[-1] * ITEM_SIZE[site.y.dtype] >= SHORTEST_RUN


def _fields(walk: Walk) -> Params:
    """A walk as the fields of `walk_t`."""
    return {
        "dims": int32_array(walk.dims[:-1]),
        "strides": int32_array(walk.strides[:-1]),
        "axes": len(walk.dims) - 1,
        "start": walk.start,
        "n": walk.dims[-1],
        "stride": walk.strides[-1],
    }


def in_bytes(walk: Walk, item: int) -> Params:
    """The fields of `walk_t` for a kernel that copies runs of bytes; the innermost axis becomes the run."""
    merged = walk.merged()
    if merged.strides[-1] != 1:  # elements stand alone: each is a run
        merged = Walk((*merged.dims, 1), (*merged.strides, 1), merged.start)
    dims = (*merged.dims[:-1], merged.dims[-1] * item)
    strides = (*(s * item for s in merged.strides[:-1]), 1)
    return _fields(Walk(dims, strides, merged.start * item))


def too_many_axes(walk: Walk) -> str | None:
    """Why the kernels cannot follow a walk, or None."""
    axes = len(walk.merged().dims)
    return f"{axes} axes of different strides, at most {MAX_RANK} are supported" if axes > MAX_RANK else None
