"""Which element of a window is the greatest: the second result of ONNX's MaxPool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.emit.literals import C_TYPES
from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register
from lilliput.ops.conv import common
from lilliput.ops.conv.common import Padding, Pair
from lilliput.ops.pool import kernels
from lilliput.ops.pool.covered import covered_pixels


def _params(site: Site) -> Params:
    op = site.op
    assert isinstance(op, MaxIndex2d)
    n, ih, iw, channels = site.x.shape
    _, oh, ow, _ = site.y.shape
    by_row, by_column = op.steps(site.x.shape)
    return {
        "n": n,
        "ih": ih,
        "iw": iw,
        "channels": channels,
        "oh": oh,
        "ow": ow,
        "kh": op.window[0],
        "kw": op.window[1],
        "stride_h": op.stride[0],
        "stride_w": op.stride[1],
        "dilation_h": op.dilation[0],
        "dilation_w": op.dilation[1],
        "top": op.padding[0][0],
        "left": op.padding[1][0],
        "by_row": by_row,
        "by_column": by_column,
    }


def _types(dtype: str) -> Callable[[Site], bool]:
    return lambda site: site.x.dtype == dtype and not site.x.constant


def _kernel(dtype: str) -> Kernel:
    return Kernel(kernels.HERE / "maxpool_index.c", _types(dtype), _params, tokens={"T": C_TYPES[dtype]})


@register
@dataclass(frozen=True)
class MaxIndex2d(Op):
    """int64 numbers of elements counted as ONNX does: sample, channel, row, column, or column before row."""

    window: Pair
    stride: Pair
    padding: Padding = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)
    column_major: bool = False

    name: ClassVar[str] = "max_index2d"
    plain_integers: ClassVar[bool] = True
    kernels = tuple(_kernel(t) for t in ("int8", "uint8", "float32"))

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        n, h, w, c = ins[0].shape
        oh = common.out_size(h, self.window[0], self.stride[0], self.dilation[0], self.padding[0])
        ow = common.out_size(w, self.window[1], self.stride[1], self.dilation[1], self.padding[1])
        return ((n, oh, ow, c),)

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return "int64"

    def check(self, site: Site) -> str | None:
        if len(site.x.shape) != 4:
            return f"the input has shape {site.x.shape}, expected (batch, height, width, channels)"
        if not covered_pixels(self, self.window, site.x.shape).all():
            return f"a window of {self.window} with padding {self.padding} lies entirely in the padding"
        return None

    def batchable(self, site: Site) -> bool:
        """The sample is part of the number."""
        return False

    def steps(self, shape: Shape) -> Pair:
        """How much the number grows by row and by column."""
        return (1, shape[1]) if self.column_major else (shape[2], 1)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (x,) = xs
        n, h, w, c = x.shape
        by_row, by_column = self.steps(x.shape)
        place = np.arange(h)[:, None] * by_row + np.arange(w) * by_column
        samples = np.arange(n)[:, None] * c + np.arange(c)
        number = samples[:, None, None, :] * (h * w) + place[..., None]
        values = common.windows(x.astype(np.float64), self, self.window, -np.inf)
        numbers = common.windows(number, self, self.window, -1)
        inside = common.windows(np.ones_like(x, bool), self, self.window, False)
        # What lies in the padding never wins, not even against minus infinity: the first inside does.
        order = np.where(inside, values, -np.inf).reshape(*values.shape[:3], -1, c)
        best = order.max(3, keepdims=True)
        wins = (order == best) & inside.reshape(order.shape)
        first = wins.argmax(3)
        flat = numbers.reshape(order.shape)
        return (np.take_along_axis(flat, first[:, :, :, None], 3)[:, :, :, 0].astype(np.int64),)

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        return torch.as_tensor(self.run(site, xs[0].detach().numpy())[0])

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        drawn = common.random_window(rng, shape)
        if drawn is None:
            return None
        window, attributes = drawn
        op = cls(window, **attributes, column_major=bool(rng.integers(2)))
        inside = common.windows(np.ones((1, *shape[1:3], 1), np.int64), op, window, 0)
        return Example(op, (shape,), integer=False) if inside.any((3, 4)).all() else None

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls((2, 2), (2, 2)), ((1, 4, 6, 3),), why="the usual", integer=False)
        uneven = cls((3, 2), (1, 2), ((1, 0), (0, 1)), (1, 2), True)
        yield Example(uneven, ((2, 5, 6, 2),), why="two samples, padding, columns first", integer=False)
        for dtype in ("int8", "uint8"):
            x = Tensor("x", (1, 4, 5, 2), dtype)
            limits = {0: (3.0, 5.0)}
            yield Example(
                cls((3, 3), (1, 1), ((1, 1), (1, 1))), (x,), why="equals", integer=False, limits=limits
            )
