"""OneHot: an axis of `depth` values, all `off` but the one that an index names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import ITEM_SIZE, Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register

HERE = Path(__file__).parent
INDICES = {"int32": "int32_t", "int64": "int64_t", "int8": "int8_t", "uint8": "uint8_t", "float32": "float"}


def _values(site: Site) -> Array:
    """(off, on) as they are stored in the result."""
    op, y = site.op, site.y
    assert isinstance(op, OneHot)
    real = np.array([op.off, op.on], np.float64)
    if y.quant is not None:
        return y.quant.quantize(real.astype(np.float32), y.dtype)
    return real.astype(y.dtype)


def _params(site: Site) -> Params:
    op, shape = site.op, site.x.shape
    assert isinstance(op, OneHot)
    return {
        "values": np.frombuffer(_values(site).tobytes(), np.uint8),
        "outer": int(np.prod(shape[: op.axis], dtype=np.int64)),
        "depth": op.depth,
        "inner": int(np.prod(shape[op.axis :], dtype=np.int64)),
        "item": ITEM_SIZE[site.y.dtype],
    }


def _types(index: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        return not site.x.constant and site.x.dtype == index and site.x.quant is None

    return when


@register
@dataclass(frozen=True)
class OneHot(Op):
    """The new axis stands at `axis`. Negative indices count from the end; others outside give a row of `off`."""

    axis: int
    depth: int
    off: float = 0.0
    on: float = 1.0
    dtype: str = "float32"

    name: ClassVar[str] = "one_hot"
    plain_integers: ClassVar[bool] = True
    kernels = tuple(
        Kernel(
            HERE / "one_hot.c",
            _types(t),
            _params,
            tokens={"T": c, "W": "float" if c == "float" else "int64_t"},
        )
        for t, c in INDICES.items()
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        shape = ins[0].shape
        return ((*shape[: self.axis], self.depth, *shape[self.axis :]),)

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return self.dtype

    def check(self, site: Site) -> str | None:
        if not 0 <= self.axis <= len(site.x.shape) or self.depth < 1 or self.dtype not in ITEM_SIZE:
            return f"{self.depth} values of {self.dtype} at axis {self.axis} of {site.x.shape}"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x = np.expand_dims(xs[0], self.axis)
        along = [1] * x.ndim
        along[self.axis] = self.depth
        places = np.arange(self.depth).reshape(along)
        return (_values(site)[((x == places) | (x == places - self.depth)).astype(np.int64)],)

    def batchable(self, site: Site) -> bool:
        return self.axis != 0

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        (y,) = self.run(site, xs[0].detach().numpy())
        found = torch.as_tensor(y)
        # No index has a gradient; a real one gets zeros, so that training goes on.
        return found + 0 * xs[0].sum() if xs[0].is_floating_point() and found.is_floating_point() else found

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        return Example(cls(len(shape), int(rng.integers(1, 5))), (shape,), integer=False)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        def case(op: OneHot, shape: Shape, dtype: str, why: str) -> Example:
            return Example(
                op,
                (Tensor("i", shape, dtype),),
                limits={0: (0.0 if dtype == "uint8" else -7.0, 7.0)},
                why=why,
                integer=False,
            )

        yield case(cls(2, 5), (1, 6), "int32", "behind, outside too")
        yield case(cls(1, 6, -1.0, 3.0, "int8"), (2, 3, 2), "int64", "in the middle, plain bytes")
        yield case(cls(0, 4, 0.0, 1.0, "int64"), (5,), "int8", "in front, wide results")
        yield case(cls(1, 4, 2.0, 5.0, "int32"), (3, 2), "uint8", "bytes as indices")
        yield case(cls(1, 4, dtype="bool"), (9,), "float32", "real numbers, which rarely name a place")
