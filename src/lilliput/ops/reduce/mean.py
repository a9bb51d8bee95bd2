"""Mean over any axes; in int8 and int16 TFLM's MEAN, which folds the division by the count into the multiplier."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.graph import INT_RANGE, Array, Shape, Tensor
from lilliput.interval import Interval, channels_of, finished
from lilliput.links import Links, one_to_one
from lilliput.op import Example, Kernel, Op, Params, Site, register

HERE = Path(__file__).parent
LOOPS = 3
"""How many separate groups of neighbouring axes the kernels can keep, and how many they can reduce."""
MAX_COUNT = {"int8": 1 << 22, "int16": 1 << 15}
"""Sums of that many differences of values stay inside int32."""
Loop = tuple[int, int]


def loops(shape: Shape, axes: tuple[int, ...]) -> tuple[list[Loop], list[Loop]]:
    """(count, stride in elements) of the axes kept and reduced; neighbours of one kind become one loop."""
    kept: list[Loop] = []
    reduced: list[Loop] = []
    stride, previous = 1, None
    for axis in reversed(range(len(shape))):
        if shape[axis] > 1:
            group = reduced if axis in axes else kept
            if group is previous:
                group[-1] = (group[-1][0] * shape[axis], group[-1][1])
            else:
                group.append((shape[axis], stride))
            previous = group
        stride *= shape[axis]
    return kept[::-1], reduced[::-1]


def float_sum(x: Array, axes: tuple[int, ...], keep: bool) -> Array:
    """The float32 sum in the order of the kernels, one value after the other as they lie: the same bits as the C."""
    last = np.moveaxis(x, sorted(axes), range(x.ndim - len(axes), x.ndim))
    kept = last.shape[: x.ndim - len(axes)]
    total = np.cumsum(last.reshape(*kept, -1), axis=-1, dtype=np.float32)[..., -1]
    return total.reshape([1 if i in axes else d for i, d in enumerate(x.shape)]) if keep else total


def behind_reduction(site: Site, axes: tuple[int, ...], x: Interval) -> Interval:
    """What the values behind each channel of the result lie between: of all channels where these are reduced too."""
    return x if len(site.x.shape) - 1 not in axes else x.whole(channels_of(site.y.shape))


def links_of_reduction(site: Site, axes: tuple[int, ...]) -> Links | None:
    """Channels stay apart unless they are reduced."""
    rank = len(site.x.shape)
    return None if rank - 1 in axes else (one_to_one(site.x.shape[-1]),)


def folded_multiplier(site: Site, count: int) -> tuple[int, int]:
    """Multiplier and shift of input scale / output scale / count, with the bits that TFLM keeps."""
    m, shift = fixed.multiplier(float(np.float64(site.x.q.s) / np.float64(site.y.q.s)))
    spare = min(count.bit_length() - 1, 32, 31 + shift)
    return (m << spare) // count, shift - spare


def _op(site: Site) -> Mean:
    assert isinstance(site.op, Mean)
    return site.op


def _types(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        groups = loops(site.x.shape, _op(site).axes)
        fits = all(len(group) <= LOOPS for group in groups)
        return fits and site.x.dtype == site.y.dtype == dtype and not site.x.constant

    return when


def _params(site: Site) -> Params:
    named: dict[str, int] = {}
    for letter, group in zip("kr", loops(site.x.shape, _op(site).axes), strict=True):
        padded = [(1, 0)] * (LOOPS - len(group)) + group
        for i, (count, stride) in enumerate(padded):
            named |= {f"{letter}{i}": count, f"{letter}{i}_stride": stride}
    return named


def _integer(site: Site) -> Params:
    count = _op(site).count(site.x.shape)
    m, shift = folded_multiplier(site, count)
    return {
        **_params(site),
        "offset": -site.x.q.z * count,
        "mult": m,
        "shift": shift,
        "out_zp": site.y.q.z,
        "lo": INT_RANGE[site.y.dtype][0],
        "hi": INT_RANGE[site.y.dtype][1],
    }


def _params_f32(site: Site) -> Params:
    return {**_params(site), "count": float(_op(site).count(site.x.shape))}


@register
@dataclass(frozen=True)
class Mean(Op):
    axes: tuple[int, ...]
    keep_dims: bool = False

    name: ClassVar[str] = "mean"
    kernels = (
        Kernel(HERE / "mean.c", _types("int8"), _integer, tokens={"T": "int8_t"}),
        Kernel(HERE / "mean.c", _types("int16"), _integer, tokens={"T": "int16_t"}),
        Kernel(HERE / "mean_f32.c", _types("float32"), _params_f32),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        shape = ins[0].shape
        if self.keep_dims:
            return (tuple(1 if i in self.axes else d for i, d in enumerate(shape)),)
        return (tuple(d for i, d in enumerate(shape) if i not in self.axes),)

    def count(self, shape: Shape) -> int:
        """How many elements become one."""
        return int(np.prod([shape[i] for i in self.axes], dtype=np.int64))

    def check(self, site: Site) -> str | None:
        rank = len(site.x.shape)
        if not self.axes or len(set(self.axes)) != len(self.axes) or not set(self.axes) <= set(range(rank)):
            return f"axes {self.axes} are not distinct axes of a tensor of {rank} dimensions"
        count, most = self.count(site.x.shape), MAX_COUNT.get(site.x.dtype)
        if most is not None and count > most:
            return f"a mean of {count} {site.x.dtype} values may overflow; at most {most} are possible"
        return None

    def batchable(self, site: Site) -> bool:
        return 0 not in self.axes

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        if not site.integer:
            total = float_sum(x, self.axes, self.keep_dims)
            return (np.asarray(total / np.float32(self.count(x.shape)), np.float32),)
        y, count = site.y, self.count(x.shape)
        total = x.sum(self.axes, np.int64, keepdims=self.keep_dims) - site.x.q.z * count
        bounds = fixed.clamp_range(None, y.q, y.dtype)
        return (fixed.finish(total, *folded_multiplier(site, count), y.q.z, bounds, y.dtype),)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        if not site.integer:
            return super().bounds(site, ins)
        y, count = site.y, self.count(site.x.shape)
        total = behind_reduction(site, self.axes, ins[0]).plus(-site.x.q.z).times(count)
        limits = fixed.clamp_range(None, y.q, y.dtype)
        return (finished(total, *folded_multiplier(site, count), y.q.z, limits),)

    def channel_links(self, site: Site) -> Links | None:
        return links_of_reduction(site, self.axes)

    def torch(self, site: Site, *xs: Any) -> Any:
        return xs[0].mean(self.axes, keepdim=self.keep_dims)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 2:
            return None
        count = int(rng.integers(1, len(shape)))
        axes = sorted(int(a) for a in rng.choice(np.arange(1, len(shape)), count, replace=False))
        return Example(cls(tuple(axes), bool(rng.integers(2))), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls((1, 2), True), ((1, 7, 5, 9),), why="global average pooling")
        yield Example(cls((1, 2)), ((1, 1, 1, 3),), why="nothing to average")
        yield Example(cls((1,)), ((1, 1000),), why="many values")
        yield Example(cls((1, 3)), ((1, 2, 3, 4, 5),), why="five dimensions")
        for count in range(1, 5):
            for axes in combinations(range(4), count):
                yield Example(cls(axes, count % 2 == 0), ((2, 3, 4, 5),), why=f"axes {axes}")
