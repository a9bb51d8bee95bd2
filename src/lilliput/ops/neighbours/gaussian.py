"""Log densities of Gaussians: naive Bayes, mixtures, quadratic discriminants."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Graph, Node, Quant, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register

HERE = Path(__file__).parent
UP = {"int8": 16, "int16": 1}
"""Means lie on a grid that is so many times finer than the input's."""
FARTHEST_MEAN = {"int8": 1 << 14, "int16": (1 << 15) - 1}
FRACTION = 8
"""Bits after the point of (x - mean) factor."""
LARGEST_SUM = 1 << 30
"""What offsets and sums of squares stay within."""


def _op(site: Site) -> LogGaussian:
    return cast("LogGaussian", site.op)


def _shape(site: Site) -> Params:
    n, features = site.ins[1].shape
    return {"n": n, "features": features}


def _is_float(full: bool) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        return _op(site).full == full and site.x.dtype == "float32" and not site.x.constant

    return when


def _full_params(site: Site) -> Params:
    means, factors, offsets = (np.asarray(t.data) for t in site.ins[1:])
    return {**_shape(site), "means": means, "factors": factors, "offsets": offsets}


def _float_params(site: Site) -> Params:
    n, features = site.ins[2].shape
    steps = {"next_gaussian": 0 if n == 1 else features, "next_feature": 0 if features == 1 else 1}
    return {**_full_params(site), **steps}


def _differences(site: Site) -> int:
    return 4 * site.x.size


@dataclass(frozen=True, eq=False)
class Integers:
    """What the integer kernels read; docs/quantization.md has the definition."""

    means: Array
    mantissas: Array
    shifts: Array
    offsets: Array
    most: int
    out: tuple[int, int]


def integers(site: Site) -> Integers:
    """The integers of a quantized site."""
    q, up = site.x.q, UP[site.x.dtype]
    means, factors, offsets = (cast(Array, t.data).astype(np.float64) for t in site.ins[1:])
    limit = FARTHEST_MEAN[site.x.dtype]
    steps = np.clip(np.round(up * (means / float(q.s) + q.z)), -limit, limit)
    wanted = np.abs(np.broadcast_to(factors, means.shape)) * (float(q.s) / up * 2**FRACTION)
    # mantissa / 2^shift with 2^10 <= mantissa < 2^11, but for factors so small or large that the shift ends.
    shifts = np.clip(11 - np.frexp(wanted)[1], 0, 31)
    mantissas = np.clip(np.round(wanted * 2.0**shifts), 0, 2047)
    scaled = np.clip(np.round(offsets * 4**FRACTION), -LARGEST_SUM, LARGEST_SUM)
    return Integers(
        steps.astype(np.int16),
        mantissas.astype(np.int64),
        shifts.astype(np.int64),
        scaled.astype(np.int32),
        math.isqrt(LARGEST_SUM // means.shape[1]),
        fixed.multiplier(4.0**-FRACTION / float(site.outs[1].q.s)),
    )


def _integers_fit(site: Site) -> bool:
    x, y = site.x, site.outs[1]
    if _op(site).full or x.dtype not in UP or x.dtype != y.dtype or x.quant is None or y.quant is None:
        return False
    offsets = cast(Array, site.ins[3].data).astype(np.float64)
    return bool((np.abs(offsets) * 4**FRACTION < LARGEST_SUM).all() and x.shape[1] < 1 << 16)


def _is_int(dtype: str) -> Callable[[Site], bool]:
    def when(site: Site) -> bool:
        return site.x.dtype == dtype and not site.x.constant and _integers_fit(site)

    return when


def _int_params(site: Site) -> Params:
    found, q = integers(site), site.outs[1].q
    lo, hi = fixed.clamp_range(None, q, site.outs[1].dtype)
    m, shift = found.out
    return {
        **_shape(site),
        "means": found.means,
        "factors": (found.mantissas << 5 | found.shifts).astype(np.uint16),
        "offsets": found.offsets,
        "up": UP[site.x.dtype],
        "most": found.most,
        "mult": m,
        "shift": shift,
        "out_zp": q.z,
        "lo": lo,
        "hi": hi,
    }


def _int(dtype: str) -> Kernel:
    return Kernel(HERE / "log_gaussian_int.c", _is_int(dtype), _int_params, tokens={"T": f"{dtype}_t"})


@register
@dataclass(frozen=True)
class LogGaussian(Op):
    """score[i] = offset[i] - |(x - mean[i]) P[i]|^2: (label [1] int32 of the greatest score, scores [1, n]).

    Inputs: x [1, F]; means [n, F]; factors; offsets [n]. The factors are the diagonal of P as [n or 1, F or 1] or,
    where `full`, the columns of an upper triangular P down to its diagonal, [n, F (F + 1) / 2]. With P P^T half of
    the inverse covariance and the right offset a score is the log density; the first of equals gives the label.
    """

    full: bool = False

    name: ClassVar[str] = "log_gaussian"
    operands: ClassVar[int | None] = 4
    float_constants: ClassVar[tuple[int, ...]] = (1, 2, 3)
    kernels = (
        _int("int8"),
        _int("int16"),
        Kernel(HERE / "log_gaussian_full_f32.c", _is_float(True), _full_params, scratch=_differences),
        Kernel(HERE / "log_gaussian_f32.c", _is_float(False), _float_params),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return ((1,), (1, ins[1].shape[0]))

    def result_dtypes(self, ins: Sequence[Tensor]) -> tuple[str, ...]:
        return ("int32", ins[0].dtype)

    def check(self, site: Site) -> str | None:
        x, means, factors, offsets = site.ins
        if len(x.shape) != 2 or x.shape[0] != 1:
            return f"the input has shape {x.shape}, expected (1, features)"
        if not all(t.constant and t.dtype == "float32" for t in site.ins[1:]):
            return "means, factors and offsets must be float32 constants"
        if len(means.shape) != 2 or means.shape[1] != x.shape[1] or offsets.shape != means.shape[:1]:
            return f"means {means.shape} and offsets {offsets.shape} do not fit {x.shape[1]} features"
        n, f = means.shape
        if self.full and factors.shape != (n, f * (f + 1) // 2):
            return f"factors have shape {factors.shape}, expected {(n, f * (f + 1) // 2)}"
        if not self.full and (
            len(factors.shape) != 2 or np.broadcast_shapes(factors.shape, (n, f)) != (n, f)
        ):
            return f"factors have shape {factors.shape}, expected ({n} or 1, {f} or 1)"
        if x.dtype != "float32" and not _integers_fit(site):
            return "there is no integer form with these constants"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, means, factors, offsets = xs
        if site.x.dtype != "float32":
            return self._integers(site, x)
        if self.full:
            factors = _triangles(factors, means.shape[1])
            scores = np.stack([offsets - np.square(_project(s - means, factors)).sum(-1) for s in x])
        else:
            scores = np.stack([offsets - np.square((s - means) * factors).sum(-1) for s in x])
        return scores.argmax(1).astype(np.int32), scores.astype(np.float32)

    def _integers(self, site: Site, x: Array) -> tuple[Array, ...]:
        found, y = integers(site), site.outs[1]
        u = x.astype(np.int64)[:, None] * UP[site.x.dtype] - found.means
        t = np.clip((u * found.mantissas) >> found.shifts, -found.most, found.most)
        sums = found.offsets - np.square(t).sum(-1)
        bounds = fixed.clamp_range(None, y.q, y.dtype)
        return sums.argmax(1).astype(np.int32), fixed.finish(sums, *found.out, y.q.z, bounds, y.dtype)

    def macs(self, site: Site) -> int:
        n, f = site.ins[1].shape
        return n * (f * (f + 1) // 2 + f if self.full else 2 * f)

    def with_features(self, site: Site, scale: Array, offset: Array) -> dict[int, Array] | None:
        """Constants for x on another scale: for the scores of x * scale + offset."""
        if self.full:
            return None  # there is no integer form to prepare
        means, factors = (cast(Array, t.data).astype(np.float64) for t in site.ins[1:3])
        return {1: ((means - offset) / scale).astype(np.float32), 2: (factors * scale).astype(np.float32)}

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        x, means, factors, offsets = xs
        d = x[:, None] - means
        if self.full:
            f = means.shape[1]
            rows, columns = (torch.as_tensor(v) for v in _columns(f))
            square = factors.new_zeros(len(means), f, f)
            square[:, rows, columns] = factors
            t = torch.einsum("bnf,nfg->bng", d, square)
        else:
            t = d * factors
        scores = offsets - t.square().sum(-1)
        return scores.argmax(1).to(torch.int32), scores

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) != 2 or shape[0] != 1:
            return None
        full = shape[1] <= 12 and rng.random() < 0.4
        return _case(rng, int(rng.integers(1, 6)), shape[1], "drawn", full=full)

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        rng = np.random.default_rng(4)
        yield _case(rng, 3, 5, "a factor each")
        yield _case(rng, 1, 1, "one Gaussian of one feature")
        yield _case(rng, 4, 33, "one for all features", one_feature=True)
        yield _case(rng, 4, 7, "one for all Gaussians", one_gaussian=True)
        yield _case(rng, 2, 64, "sharp: everything is far away", size=300.0)
        yield _case(rng, 3, 6, "flat: factors of almost nothing", size=1e-7)
        yield _case(rng, 3, 5, "full", full=True)
        yield _case(rng, 2, 1, "full, one feature", full=True)
        example = _case(rng, 3, 20, "16 bits")
        x, y = (
            Tensor(n, (1, c), "int16", Quant.per_tensor(s, 0))
            for n, c, s in (("x", 20, 1e-4), ("y", 3, 0.01))
        )
        tensors = {"x": x, "label": Tensor("label", (1,), "int32"), "y": y}
        for i, c in enumerate(example.ins[1:]):
            assert isinstance(c, np.ndarray)
            tensors[f"c{i}"] = Tensor(f"c{i}", c.shape, "float32", data=c)
        node = Node(cls(), ("x", "c0", "c1", "c2"), ("label", "y"), cls.name)
        yield Graph(("x",), ("label", "y"), (node,), tensors)


def _columns(features: int) -> tuple[Array, Array]:
    """(row, column) of each number of a packed triangle."""
    columns, rows = np.tril_indices(features)
    return rows, columns


def _triangles(packed: Array, features: int) -> Array:
    """[n, F (F + 1) / 2] -> [n, F, F]."""
    square = np.zeros((len(packed), features, features), packed.dtype)
    square[:, *_columns(features)] = packed
    return square


def pack_triangles(square: Array) -> Array:
    """Upper triangular [n, F, F] -> the factors of a `full` operator."""
    return np.asarray(square[:, *_columns(square.shape[1])])


def _project(d: Array, factors: Array) -> Array:
    return np.asarray(np.einsum("nf,nfg->ng", d, factors))


def _case(
    rng: np.random.Generator,
    n: int,
    f: int,
    why: str,
    *,
    full: bool = False,
    size: float = 0.5,
    one_feature: bool = False,
    one_gaussian: bool = False,
) -> Example:
    shape = (n, f * (f + 1) // 2) if full else (1 if one_gaussian else n, 1 if one_feature else f)
    factors = rng.uniform(0.2, 1.5, shape) * size
    constants = [rng.normal(0, 1, (n, f)), factors, rng.normal(0, 2, n)]
    arrays = [np.asarray(c, np.float32) for c in constants]
    return Example(LogGaussian(full), ((1, f), *arrays), why=why, integer=not full)
