"""GridSample: values of planes or volumes at places that are data; ONNX's and PyTorch's."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register

HERE = Path(__file__).parent
TAPS = {"nearest": 1, "linear": 2, "cubic": 4}
PADDING = ("zeros", "border", "reflection")
LIMIT = np.float32(1 << 20)


def _params(site: Site) -> Params:
    op, x = site.op, site.x.shape
    assert isinstance(op, GridSample)
    return {
        "sizes": np.array(x[1:-1], np.int32),
        "batch": x[0],
        "dims": len(x) - 2,
        "m": site.y.size // (x[0] * x[-1]),
        "c": x[-1],
        "taps": TAPS[op.mode],
        "align": int(op.align_corners),
        "padding": PADDING.index(op.padding),
    }


def _when(site: Site) -> bool:
    return all(t.dtype == "float32" for t in (*site.ins, *site.outs))


def _reflected(v: Array, lo: np.float32, hi: np.float32) -> Array:
    if hi - lo <= 0:
        return np.full_like(v, lo)
    d = np.where(v < lo, lo - v, np.where(v > hi, v - hi, np.float32(0)))
    times = np.trunc(d / (hi - lo))
    rest = (d - times * (hi - lo)).astype(np.float32)
    odd = times.astype(np.int64) % 2 == 1
    below, above = np.where(odd, hi - rest, lo + rest), np.where(odd, lo + rest, hi - rest)
    return np.where(v < lo, below, np.where(v > hi, above, v)).astype(np.float32)


def _cubic(d: Array) -> Array:
    f = np.float32
    near = (f(1.25) * d - f(2.25)) * d * d + f(1)
    far = ((f(-0.75) * d + f(3.75)) * d - f(6)) * d + f(3)
    return np.where(d <= 1, near, np.where(d < 2, far, f(0)))


@register
@dataclass(frozen=True)
class GridSample(Op):
    """x is [N, sizes..., C], the grid [N, places..., dims] with the last axis of x first, -1 .. 1 from edge to edge.

    With `border` the place itself is moved inside, but for cubic every tap is: PyTorch's definition.
    """

    mode: Literal["nearest", "linear", "cubic"] = "linear"
    padding: Literal["zeros", "border", "reflection"] = "zeros"
    align_corners: bool = False

    name: ClassVar[str] = "grid_sample"
    operands: ClassVar[int | None] = 2
    kernels = (Kernel(HERE / "grid_sample_f32.c", _when, _params, reads=(0, 1)),)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        x, grid = (t.shape for t in ins)
        return ((x[0], *grid[1:-1], x[-1]),)

    def check(self, site: Site) -> str | None:
        x, grid = (t.shape for t in site.ins)
        dims = len(x) - 2
        if not 1 <= dims <= 3 or len(grid) != len(x) or grid[-1] != dims or grid[0] != x[0]:
            return f"a grid {grid} for {x}, expected places of {dims} numbers, at most 3"
        return None

    def batchable(self, site: Site) -> bool:
        return not any(t.constant for t in site.ins)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, grid = xs
        sizes, batch = x.shape[1:-1], np.arange(len(x)).reshape(-1, *[1] * (grid.ndim - 2))
        along = [self._taps(grid[..., -1 - i], n) for i, n in enumerate(sizes)]
        y = np.zeros((len(x), *grid.shape[1:-1], x.shape[-1]), np.float32)
        for chosen in itertools.product(range(TAPS[self.mode]), repeat=len(sizes)):
            weight: Array = np.ones((), np.float32)
            inside: Array = np.ones((), bool)
            for (at, w), t in zip(along, chosen, strict=True):
                weight, inside = weight * w[t], inside & (at[t] >= 0)
            places = tuple(np.maximum(at[t], 0) for (at, _), t in zip(along, chosen, strict=True))
            y = y + np.where(inside, weight, np.float32(0))[..., None] * x[(batch, *places)]
        return (y,)

    def _taps(self, g: Array, n: int) -> tuple[list[Array], list[Array]]:
        """Indices (-1: nothing) and weights per tap; the C in arrays."""
        f, taps = np.float32, TAPS[self.mode]
        size = f(n)
        lo, hi = (f(0), size - f(1)) if self.align_corners else (f(-0.5), size - f(0.5))
        with np.errstate(over="ignore", invalid="ignore"):
            v = (g + f(1)) / f(2) * (size - f(1)) if self.align_corners else ((g + f(1)) * size - f(1)) / f(2)
        v = np.where(v > -LIMIT, np.where(v < LIMIT, v, LIMIT), -LIMIT)
        v = np.rint(v) if taps == 1 else v
        out = (v < lo) | (v > hi)
        if self.padding == "border" and taps < 4:
            v = np.where(out, np.where(v < 0, f(0), size - f(1)), v)
        elif self.padding == "reflection":
            v = np.where(out, _reflected(v, lo, hi), v)
        floor = np.floor(v)
        ats, weights = [], []
        for t in range(taps):
            i = floor.astype(np.int64) - (taps == 4) + t
            d = np.abs(v - floor - (i - floor).astype(f))
            weights.append(np.ones_like(d) if taps == 1 else f(1) - d if taps == 2 else _cubic(d))
            beyond = (i < 0) | (i >= n)
            other = np.full_like(i, -1)
            if self.padding == "border":
                other = np.clip(i, 0, n - 1)
            elif self.padding == "reflection":
                other = np.clip(np.trunc(_reflected(i.astype(f), lo, hi)), 0, n - 1).astype(np.int64)
            ats.append(np.where(beyond, other, i))
        return ats, weights

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        x, grid = xs
        dims = x.dim() - 2
        first = x.permute(0, x.dim() - 1, *range(1, x.dim() - 1))
        if dims == 1:  # a plane of one row
            first = first.unsqueeze(2)
            grid = torch.stack([grid[..., 0], torch.zeros_like(grid[..., 0])], -1).unsqueeze(1)
        mode = {"linear": "bilinear", "cubic": "bicubic"}.get(self.mode, self.mode)
        y = torch.nn.functional.grid_sample(first, grid, mode, self.padding, self.align_corners)
        y = y.squeeze(2) if dims == 1 else y
        return y.permute(0, *range(2, y.dim()), 1)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) != 4:
            return None
        mode: Any = rng.choice(["linear", "cubic"])
        padding: Any = rng.choice(PADDING)
        grid = rng.uniform(-1.4, 1.4, (shape[0], 3, 2, 2)).astype(np.float32)
        return Example(cls(str(mode), str(padding), bool(rng.integers(2))), (shape, grid))  # type: ignore[arg-type]

    @classmethod
    def examples(cls) -> Iterator[Example]:
        for mode in ("linear", "cubic", "nearest"):
            for padding in PADDING:
                for align in (False, True):
                    yield Example(
                        cls(mode, padding, align),  # type: ignore[arg-type]
                        ((1, 5, 4, 3), (1, 3, 6, 2)),
                        limits={1: (-1.7, 1.7)},
                        why=f"{mode}, {padding}",
                    )
        yield Example(cls("linear", "border"), ((2, 3, 4, 2, 2), (2, 2, 3, 2, 3)), why="volumes")
        yield Example(cls("linear", "zeros", True), ((1, 1, 1, 2), (1, 4, 3, 2)), why="one element")
