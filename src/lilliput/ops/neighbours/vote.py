"""What the nearest points say: a vote among classes, or a mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Graph, Node, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register
from lilliput.ops.neighbours.nearest import Nearest

HERE = Path(__file__).parent


def weights(distances: Array) -> Array:
    """Reciprocals of distances; with neighbours at distance zero only these count, once each. scikit-learn's rule."""
    exact = distances[:, :1] == 0
    with np.errstate(divide="ignore"):
        return np.where(exact, (distances == 0).astype(np.float32), np.float32(1) / distances)


def _op(site: Site) -> _Neighbours:
    return cast("_Neighbours", site.op)


def _is_float(site: Site) -> bool:
    return site.ins[1].dtype == site.outs[-1].dtype == "float32" and not site.x.constant


def _is_int8(site: Site) -> bool:
    types = site.ins[1].dtype == site.outs[-1].dtype == "int8"
    return types and not _op(site).by_distance and not site.x.constant


def _shape(site: Site) -> Params:
    return {"n": site.ins[2].shape[0], "k": site.x.shape[-1]}


def _share(site: Site, scale: float) -> Params:
    q = site.outs[-1].q
    m, shift = fixed.multiplier(scale)
    lo, hi = fixed.clamp_range(None, q, "int8")
    return {"mult": m, "shift": shift, "out_zp": q.z, "lo": lo, "hi": hi}


@dataclass(frozen=True)
class _Neighbours(Op):
    """Indices [1, k] int32 and distances [1, k], nearest first, and what is known of each point."""

    by_distance: bool = False

    operands: ClassVar[int | None] = 3

    def check(self, site: Site) -> str | None:
        index, distance, known = site.ins
        if index.dtype != "int32" or len(index.shape) != 2 or index.shape[0] != 1:
            return f"the indices are {index.dtype}{index.shape}, expected int32 (1, neighbours)"
        if distance.shape != index.shape:
            return f"the distances have shape {distance.shape}, the indices {index.shape}"
        if not known.constant:
            return "what is known of the points must be a constant"
        if distance.dtype not in ("float32", "int8") or (distance.dtype == "int8" and self.by_distance):
            return f"no vote by distances of type {distance.dtype}"
        return None

    def step(self, site: Site) -> float:
        """What one neighbour adds, in steps of an int8 result."""
        raise NotImplementedError


def _vote_params(site: Site) -> Params:
    op = cast(NeighbourVote, site.op)
    classes = np.asarray(site.ins[2].data, np.uint8)
    return {**_shape(site), "classes_of": classes, "classes": op.classes}


def _vote_float(site: Site) -> Params:
    return {**_vote_params(site), "by_distance": int(_op(site).by_distance)}


def _vote_int8(site: Site) -> Params:
    return {**_vote_params(site), **_share(site, _op(site).step(site))}


@register
@dataclass(frozen=True)
class NeighbourVote(_Neighbours):
    """Shares of the neighbours' classes (constant [n] int32): (label [1] int32, shares [1, classes])."""

    classes: int = 2

    name: ClassVar[str] = "neighbour_vote"
    kernels = (
        Kernel(HERE / "neighbour_vote_s8.c", _is_int8, _vote_int8),
        Kernel(HERE / "neighbour_vote_f32.c", _is_float, _vote_float),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return ((1,), (1, self.classes))

    def result_dtypes(self, ins: Sequence[Tensor]) -> tuple[str, ...]:
        return ("int32", ins[1].dtype)

    def check(self, site: Site) -> str | None:
        known = site.ins[2]
        if reason := super().check(site):
            return reason
        if known.dtype != "int32" or len(known.shape) != 1 or not 1 <= self.classes <= 256:
            return f"classes are {known.dtype}{known.shape} of {self.classes}, expected int32 (points,) of at most 256"
        data = cast(Array, known.data)
        if data.min() < 0 or data.max() >= self.classes:
            return f"a point has class {data.min()} or {data.max()}, expected 0 to {self.classes - 1}"
        return None

    def step(self, site: Site) -> float:
        return 1 / (site.x.shape[-1] * float(site.outs[1].q.s))

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        index, distance, classes = xs
        chosen = np.eye(self.classes, dtype=np.int64)[classes[np.clip(index, 0, len(classes) - 1)]]
        if site.ins[1].dtype == "int8":
            votes = chosen.sum(1)
            q = site.outs[1].q
            m = fixed.multiplier(self.step(site))
            shares = fixed.finish(votes, *m, q.z, fixed.clamp_range(None, q, "int8"), "int8")
            return votes.argmax(1).astype(np.int32), shares
        each = weights(distance) if self.by_distance else np.ones(distance.shape, np.float32)
        real = (chosen * each[:, :, None]).sum(1)
        return real.argmax(1).astype(np.int32), (real / real.sum(1, keepdims=True)).astype(np.float32)

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        index, distance, classes = xs
        chosen = torch.nn.functional.one_hot(
            classes.long()[index.long().clamp(0, len(classes) - 1)], self.classes
        )
        real = (chosen * _torch_weights(distance, self.by_distance)[:, :, None]).sum(1)
        return real.argmax(1).to(torch.int32), real / real.sum(1, keepdim=True)

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        rng = np.random.default_rng(2)
        for k, n, classes in ((1, 1, 1), (5, 9, 3), (12, 40, 4)):
            known = rng.integers(0, classes, n).astype(np.int32)
            yield from _cases(lambda d, c=classes: cls(d, c), k, n, known)
        yield _after_nearest(cls(True, 3), rng.integers(0, 3, 12).astype(np.int32))


def _mean_float(site: Site) -> Params:
    known = np.asarray(site.ins[2].data)
    by = int(_op(site).by_distance)
    return {**_shape(site), "targets": known, "outputs": known.shape[1], "by_distance": by}


def _mean_int8(site: Site) -> Params:
    known = _targets(site)
    step = _share(site, _op(site).step(site))
    return {**_shape(site), "targets": known, "outputs": known.shape[1], **step}


def _targets(site: Site) -> Array:
    return site.y.q.quantize(cast(Array, site.ins[2].data), "int8")


@register
@dataclass(frozen=True)
class NeighbourMean(_Neighbours):
    """The mean [1, outputs] of the neighbours' targets (constant [n, outputs])."""

    name: ClassVar[str] = "neighbour_mean"
    float_constants: ClassVar[tuple[int, ...]] = (2,)
    kernels = (
        Kernel(HERE / "neighbour_mean_s8.c", _is_int8, _mean_int8),
        Kernel(HERE / "neighbour_mean_f32.c", _is_float, _mean_float),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return ((1, ins[2].shape[1]),)

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return ins[1].dtype

    def check(self, site: Site) -> str | None:
        known = site.ins[2]
        if reason := super().check(site):
            return reason
        if known.dtype != "float32" or len(known.shape) != 2:
            return f"targets are {known.dtype}{known.shape}, expected float32 (points, outputs)"
        return None

    def step(self, site: Site) -> float:
        return 1 / site.x.shape[-1]

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        index, distance, targets = xs
        index = np.clip(index, 0, len(targets) - 1)
        if site.integer:
            q = site.y.q
            total = (_targets(site).astype(np.int64)[index] - q.z).sum(1)
            m = fixed.multiplier(self.step(site))
            return (fixed.finish(total, *m, q.z, fixed.clamp_range(None, q, "int8"), "int8"),)
        each = weights(distance) if self.by_distance else np.ones(distance.shape, np.float32)
        total = (targets[index] * each[:, :, None]).sum(1)
        return ((total / each.sum(1, keepdims=True)).astype(np.float32),)

    def torch(self, site: Site, *xs: Any) -> Any:
        index, distance, targets = xs
        each = _torch_weights(distance, self.by_distance)
        total = (targets[index.long().clamp(0, len(targets) - 1)] * each[:, :, None]).sum(1)
        return total / each.sum(1, keepdim=True)

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        rng = np.random.default_rng(5)
        for k, n, outputs in ((1, 1, 1), (5, 9, 3), (12, 40, 1)):
            known = rng.normal(0, 2, (n, outputs)).astype(np.float32)
            yield from _cases(cls, k, n, known)
        yield _after_nearest(cls(True), rng.normal(0, 2, (12, 2)).astype(np.float32))


def _torch_weights(distance: Any, by_distance: bool) -> Any:
    import torch

    if not by_distance:
        return torch.ones_like(distance) + 0 * distance
    exact = distance[:, :1] == 0
    return torch.where(exact, (distance == 0).to(distance.dtype), 1 / distance.clamp(min=1e-30))


def _after_nearest(op: Op, known: Array) -> Graph:
    """The neighbours come from where they are found."""
    points = np.random.default_rng(6).normal(0, 1.5, (len(known), 4)).astype(np.float32)
    tensors = {
        "x": Tensor("x", (1, 4)),
        "points": Tensor("points", points.shape, data=points),
        "index": Tensor("index", (1, 3), "int32"),
        "distance": Tensor("distance", (1, 3)),
        "known": Tensor("known", known.shape, str(known.dtype), data=known),
    }
    ins = ("index", "distance", "known")
    sources = [tensors[n] for n in ins]
    outs = tuple(f"y{i}" for i in range(len(op.infer(sources))))
    for name, shape, dtype in zip(outs, op.infer(sources), op.result_dtypes(sources), strict=True):
        tensors[name] = Tensor(name, shape, dtype)
    nodes = (
        Node(Nearest(3), ("x", "points"), ("index", "distance"), "nearest"),
        Node(op, ins, outs, op.name),
    )
    return Graph(("x",), outs, nodes, tensors)


def _cases(make: Any, k: int, n: int, known: Array) -> Iterator[Example]:
    index = Tensor("index", (1, k), "int32")
    for by_distance in (False, True):
        yield Example(
            make(by_distance),
            (index, (1, k), known),
            why=f"{k} of {n}" + ", by distance" * by_distance,
            integer=not by_distance,
            limits={0: (0, n - 1), 1: (0.5, 4.0)},
        )
    beyond = {0: (-3, n + 3), 1: (0.0, 0.0)}  # indices outside, distances of zero
    yield Example(make(True), (index, (1, k), known), why="exact", integer=False, limits=beyond)
