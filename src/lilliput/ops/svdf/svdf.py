"""Singular value decomposition filter: features of each step, remembered and filtered in time; TFLM's SVDF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput import fixed
from lilliput.errors import UserError
from lilliput.fixed import Clamp
from lilliput.graph import Array, Graph, Node, Quant, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register

HERE = Path(__file__).parent
INTEGERS = ("int8", "int8", "int16", "int32", "int16", "int8", "int16")
"""Input, weights of the features, of the time, bias, memory before; result, memory after."""


def _types(site: Site) -> tuple[str, ...]:
    return tuple(t.dtype for t in (*site.ins, *site.outs))


def _op(site: Site) -> Svdf:
    assert isinstance(site.op, Svdf)
    return site.op


def multipliers(site: Site) -> tuple[tuple[int, int], tuple[int, int]]:
    """From products to the memory and from there to the result; products of scales in float32, as TFLM's."""
    x, features, times, _, before = site.ins
    first = np.float32(np.float32(x.q.s * features.q.s) / before.q.s)
    second = np.float32(np.float32(before.q.s * times.q.s) / site.y.q.s)
    return fixed.multiplier(float(first)), fixed.multiplier(float(second))


def _shape(site: Site) -> Params:
    x, features, times, bias, _ = site.ins
    return {
        "features": features.data,
        "times": times.data,
        "bias": bias.data,
        "n": x.shape[0],
        "inputs": x.shape[1],
        "filters": features.shape[0],
        "steps": times.shape[1],
        "rank": _op(site).rank,
    }


def _s8(site: Site) -> Params:
    (in_mult, in_shift), (out_mult, out_shift) = multipliers(site)
    lo, hi = fixed.clamp_range(_op(site).clamp, site.y.q, "int8")
    scaling = {"in_mult": in_mult, "in_shift": in_shift, "out_mult": out_mult, "out_shift": out_shift}
    return {**_shape(site), "in_zp": site.x.q.z, "out_zp": site.y.q.z, "lo": lo, "hi": hi, **scaling}


def _f32(site: Site) -> Params:
    lo, hi = fixed.float_range(_op(site).clamp)
    return {**_shape(site), "lo": lo, "hi": hi}


READS = (0, 4)


@register
@dataclass(frozen=True)
class Svdf(Op):
    """(x, features, times, bias, memory) -> (y, memory): `rank` neighbouring filters make a unit.

    x [n, inputs], features [filters, inputs], times [filters, steps], bias [filters / rank]; the memory is
    [n, filters * steps], each filter's steps from the oldest on.
    """

    rank: int = 1
    clamp: Clamp = None

    name: ClassVar[str] = "svdf"
    operands: ClassVar[int | None] = 5
    kernels = (
        Kernel(HERE / "svdf_s8.c", lambda site: _types(site) == INTEGERS, _s8, reads=READS),
        Kernel(HERE / "svdf_f32.c", lambda site: set(_types(site)) == {"float32"}, _f32, reads=READS),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        if self.rank < 1 or ins[1].shape[0] % self.rank:
            raise UserError(f"svdf: {ins[1].shape[0]} filters and rank {self.rank} do not fit")
        return (ins[0].shape[0], ins[1].shape[0] // self.rank), ins[4].shape

    def result_dtypes(self, ins: Sequence[Tensor]) -> tuple[str, ...]:
        return ins[0].dtype, ins[4].dtype

    def check(self, site: Site) -> str | None:
        x, features, times, bias, before = site.ins
        if any(len(t.shape) != 2 for t in (x, features, times, before)) or bias.shape != site.y.shape[1:]:
            return f"shapes {[t.shape for t in site.ins]}, expected [n, i], [f, i], [f, steps], [units], [n, f steps]"
        filters, steps = times.shape
        if features.shape != (filters, x.shape[1]) or before.shape != (x.shape[0], filters * steps):
            return f"shapes {[t.shape for t in site.ins]} do not fit each other"
        if not (features.constant and times.constant and bias.constant):
            return "its weights and its bias must be constants"
        found = _types(site)
        if found != INTEGERS and set(found) != {"float32"}:
            return f"its tensors are {', '.join(found)}; expected {', '.join(INTEGERS)}, or all float32"
        if site.integer and not (before.q.same(site.outs[1].quant) and before.q.z == 0 and times.q.z == 0):
            return "the memory must keep its quantization, and zero points of the memory and the time be 0"
        if site.integer and features.q.z != 0:
            return f"weights with zero point {features.q.z}, expected 0 (symmetric)"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, features, times, bias, before = xs
        work: type = np.int64 if site.integer else np.float32
        zero = site.x.q.z if site.integer else 0
        fresh = (x.astype(work) - work(zero)) @ features.T.astype(work)
        if site.integer:
            (m, shift), (out_m, out_shift) = multipliers(site)
            fresh = np.clip(fixed.scale_by(fixed.wrap32(fresh), m, shift), -(2**15), 2**15 - 1)
        memory = before.reshape(len(x), *times.shape)
        after = np.concatenate([memory[..., 1:], fresh[..., None]], -1).astype(before.dtype)
        filtered = (after.astype(work) * times.astype(work)).sum(-1)
        total = filtered.reshape(len(x), -1, self.rank).sum(-1) + bias.astype(work)
        after = after.reshape(before.shape)
        if not site.integer:
            lo, hi = fixed.float_range(self.clamp)
            return np.clip(total, np.float32(lo), np.float32(hi)), after
        y = site.y
        bounds = fixed.clamp_range(self.clamp, y.q, y.dtype)
        return fixed.finish(total, out_m, out_shift, y.q.z, bounds, y.dtype), after

    def macs(self, site: Site) -> int:
        return site.x.shape[0] * (site.ins[1].size + site.ins[2].size)

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        x, features, times, bias, before = xs
        memory = before.reshape(len(x), *times.shape)
        after = torch.cat([memory[..., 1:], (x @ features.T)[..., None]], -1)
        y = (after * times).sum(-1).reshape(len(x), -1, self.rank).sum(-1) + bias
        return (y.clamp(*self.clamp) if self.clamp else y), after.reshape(before.shape)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) != 2:
            return None
        rank, units, steps = (int(v) for v in rng.integers(1, 4, 3))
        return cls._drawn(rng, shape[0], shape[1], rank, units, steps, None)

    @classmethod
    def _drawn(
        cls, rng: np.random.Generator, n: int, inputs: int, rank: int, units: int, steps: int, clamp: Clamp
    ) -> Example:
        sizes: tuple[Shape, ...] = ((rank * units, inputs), (rank * units, steps), (units,))
        constants = [rng.normal(0, 0.5, size).astype(np.float32) for size in sizes]
        ins: tuple[Shape | Array, ...] = ((n, inputs), *constants, (n, rank * units * steps))
        return Example(cls(rank, clamp), ins, integer=False)

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        rng = np.random.default_rng(6)
        yield cls._drawn(rng, 1, 7, 2, 3, 4, None)
        yield cls._drawn(rng, 2, 5, 1, 4, 3, (0.0, float("inf")))
        yield cls._drawn(rng, 1, 1, 1, 1, 1, (-0.5, 0.5))
        for seed, example in enumerate(
            (cls._drawn(rng, 1, 9, 2, 4, 5, None), cls._drawn(rng, 2, 3, 1, 5, 1, (0.0, 1.0)))
        ):
            yield _integer(example, 40 + seed)


def _integer(example: Example, seed: int) -> Graph:
    """The int8 form of an example, with drawn integers and scales under which results are spread."""
    rng = np.random.default_rng(seed)
    sizes = [given.shape if isinstance(given, np.ndarray) else given for given in example.ins]
    shapes = [tuple(s) for s in sizes if not isinstance(s, Tensor)]
    scales = (0.05, 0.01, 0.0004, 0.0, 0.002, 0.02, 0.002)
    ranges = ((0, 0), (-127, 127), (-32767, 32767), (-20000, 20000), (0, 0))
    names = ("x", "features", "times", "bias", "before")
    tensors: dict[str, Tensor] = {}
    for name, shape, dtype, scale, (lo, hi) in zip(names, shapes, INTEGERS, scales, ranges, strict=False):
        quant = Quant.per_tensor(scale, 11 if name == "x" else 0) if scale else None
        data = rng.integers(lo, hi, shape, endpoint=True).astype(dtype) if hi else None
        tensors[name] = Tensor(name, shape, dtype, quant, data)
    y, after = example.op.infer(list(tensors.values()))
    tensors["y"] = Tensor("y", y, "int8", Quant.per_tensor(0.5, -9))
    tensors["after"] = replace(tensors["before"], name="after", shape=after)
    node = Node(example.op, names, ("y", "after"), "svdf")
    return Graph(("x", "before"), ("y", "after"), (node,), tensors)
