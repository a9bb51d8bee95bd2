"""ResizeBilinear: planes resized by weighting four pixels; TFLM's RESIZE_BILINEAR to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, QuantRule, Site, register

HERE = Path(__file__).parent
ONE = 1024
"""A whole step of the integers' positions."""
FARTHEST = 1 << 24
"""Positions stay below, so that float32 and int32 hold them."""


def tflm_positions(size: int, count: int, *, align: bool, half: bool) -> tuple[list[float], list[int]]:
    """The place of every result: float32, and in 1024ths; TFLM's arithmetic for each."""
    if align and count > 1:
        scale = np.float32(np.float32(size - 1) / np.float32(count - 1))
        fixed = (ONE * (size - 1) + (count - 1) // 2) // (count - 1)
    else:
        scale = np.float32(np.float32(size) / np.float32(count))
        fixed = (ONE * size + count // 2) // count
    i = np.arange(count, dtype=np.float32)
    real: Array = (i + np.float32(0.5)) * scale - np.float32(0.5) if half else i * scale
    whole = np.arange(count) * fixed + (fixed // 2 - ONE // 2 if half else 0)
    return [float(v) for v in real], [int(v) for v in whole]


def _neighbours(at: Array, size: int, step: int) -> tuple[Array, Array]:
    """The two neighbours of every position [count, 2], and how far it is from the first: in steps, or `step`ths."""
    real = [np.floor(at), np.ceil(at)]
    bounds = real if step == 1 else [np.trunc(at / step), np.trunc((at + step - 1) / step)]
    pair = np.clip(np.stack(bounds, -1), 0, size - 1).astype(np.int32)
    return pair, (at - step * pair[:, 0].astype(at.dtype)).astype(at.dtype)


def _tables(site: Site) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Neighbours and distances of rows and columns, for the type of the result."""
    op, (_, h, w, _) = site.op, site.x.shape
    assert isinstance(op, ResizeBilinear)
    if site.y.dtype == "float32":
        return (
            _neighbours(np.array(op.rows, np.float32), h, 1),
            _neighbours(np.array(op.columns, np.float32), w, 1),
        )
    return (
        _neighbours(np.array(op.rows_1024, np.int64), h, ONE),
        _neighbours(np.array(op.columns_1024, np.int64), w, ONE),
    )


def _params(site: Site) -> Params:
    (rows, fy), (columns, fx) = _tables(site)
    n, h, w, c = site.x.shape
    kind = np.float32 if site.y.dtype == "float32" else np.int32
    sizes = {"n": n, "h": h, "w": w, "c": c, "oh": len(rows), "ow": len(columns)}
    return {"rows": rows, "columns": columns, "fy": fy.astype(kind), "fx": fx.astype(kind), **sizes}


def _types(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        return site.x.dtype == site.y.dtype == dtype and not site.x.constant

    return when


@register
@dataclass(frozen=True)
class ResizeBilinear(Op):
    """Row i of the result lies at rows[i] of the input, columns alike; integers use rows_1024 and columns_1024."""

    rows: tuple[float, ...] = ()
    columns: tuple[float, ...] = ()
    rows_1024: tuple[int, ...] = ()
    columns_1024: tuple[int, ...] = ()

    name: ClassVar[str] = "resize_bilinear"
    out_quant: ClassVar[QuantRule] = "like input"
    kernels = (
        Kernel(HERE / "resize_bilinear.c", _types("int8"), _params, tokens={"T": "int8_t", "W": "int32_t"}),
        Kernel(HERE / "resize_bilinear.c", _types("int16"), _params, tokens={"T": "int16_t", "W": "int64_t"}),
        Kernel(HERE / "resize_bilinear_f32.c", _types("float32"), _params),
    )

    @classmethod
    def of(
        cls, shape: Shape, size: tuple[int, int], *, align: bool = False, half: bool = False
    ) -> ResizeBilinear:
        """To the given size, with TFLM's positions."""
        (rows, rows_1024), (columns, columns_1024) = (
            tflm_positions(n, count, align=align, half=half)
            for n, count in zip(shape[1:3], size, strict=True)
        )
        return cls(tuple(rows), tuple(columns), tuple(rows_1024), tuple(columns_1024))

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        n, _, _, c = ins[0].shape
        return ((n, len(self.rows), len(self.columns), c),)

    def check(self, site: Site) -> str | None:
        for real, whole, size in zip(
            (self.rows, self.columns), (self.rows_1024, self.columns_1024), site.x.shape[1:3], strict=True
        ):
            if not real or len(real) != len(whole):
                return f"{len(real)} positions and {len(whole)} in 1024ths, expected as many of both"
            near = [v / ONE for v in whole]
            for at in (*real, *near):
                if not -1.0 <= at <= size or size > FARTHEST:
                    return f"position {at} is not near an axis of {size}"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        (rows, fy), (columns, fx) = _tables(site)
        x = xs[0] if site.y.dtype == "float32" else xs[0].astype(np.int64)
        fy, fx = fy[:, None, None], fx[:, None]
        one = x.dtype.type(1 if site.y.dtype == "float32" else ONE)
        (top, bottom), (left, right) = rows.T, columns.T
        y = x.take(top, 1).take(left, 2) * (one - fy) * (one - fx)
        y = y + x.take(bottom, 1).take(left, 2) * fy * (one - fx)
        y = y + x.take(top, 1).take(right, 2) * (one - fy) * fx
        y = y + x.take(bottom, 1).take(right, 2) * fy * fx
        if site.y.dtype == "float32":
            return (y,)
        half = np.where(y > 0, 1 << 19, -(1 << 19))
        rounded = np.sign(y + half) * (np.abs(y + half) >> 20)
        return (rounded.astype(site.y.dtype),)

    def macs(self, site: Site) -> int:
        return 4 * site.y.size

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        h, w = site.x.shape[1:3]
        (rows, fy), (columns, fx) = (
            [torch.as_tensor(v) for v in _neighbours(np.array(at, np.float32), n, 1)]
            for at, n in ((self.rows, h), (self.columns, w))
        )
        fy, fx = fy[:, None, None], fx[:, None]
        top, bottom = (xs[0].index_select(1, rows[:, i]) for i in range(2))
        x = top * (1 - fy) + bottom * fy
        left, right = (x.index_select(2, columns[:, i]) for i in range(2))
        return left * (1 - fx) + right * fx

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) != 4:
            return None
        h, w = (int(n) for n in rng.integers(1, 12, 2))
        align = bool(rng.integers(2))
        return Example(cls.of(shape, (h, w), align=align, half=not align and bool(rng.integers(2))), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example | Any]:
        def case(
            x: Shape, size: tuple[int, int], why: str, align: bool = False, half: bool = False
        ) -> Example:
            return Example(cls.of(x, size, align=align, half=half), (x,), why=why)

        yield case((1, 3, 5, 4), (6, 10), "twice as large, half pixels", half=True)
        yield case((1, 7, 5, 3), (3, 2), "smaller")
        yield case((1, 4, 4, 1), (7, 9), "corners aligned", align=True)
        yield case((1, 2, 3, 2), (5, 1), "to one column", align=True)
        yield case((1, 1, 1, 2), (3, 4), "one pixel becomes a plane", half=True)
        yield case((2, 3, 3, 2), (5, 4), "two planes", half=True)
        yield _sixteen_bits(cls.of((1, 3, 4, 2), (5, 7), half=True))


def _sixteen_bits(op: ResizeBilinear) -> Any:
    """A graph of int16, which post-training quantization does not make."""
    from lilliput.graph import Graph, Node, Quant

    quant = Quant.per_tensor(2.0**-12, 0)
    x = Tensor("x", (1, 3, 4, 2), "int16", quant)
    y = Tensor("y", op.infer([x])[0], "int16", quant)
    return Graph(("x",), ("y",), (Node(op, ("x",), ("y",), "resize"),), {"x": x, "y": y})
