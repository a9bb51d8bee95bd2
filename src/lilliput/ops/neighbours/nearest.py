"""The nearest of known points, by brute force."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, cast, get_args

import numpy as np

from lilliput import fixed
from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register

HERE = Path(__file__).parent
Metric = Literal["euclidean", "manhattan"]
METRICS: tuple[Metric, ...] = get_args(Metric)


def _op(site: Site) -> Nearest:
    return cast("Nearest", site.op)


def _shape(site: Site) -> Params:
    n, features = site.ins[1].shape
    return {"n": n, "features": features, "k": _op(site).k}


def _float(metric: Metric) -> Kernel:
    def when(site: Site) -> bool:
        return _op(site).metric == metric and site.x.dtype == "float32" and not site.x.constant

    def params(site: Site) -> Params:
        root = int(metric == "euclidean")
        return {**_shape(site), "points": np.asarray(site.ins[1].data), "root": root}

    name = "squared_distance" if metric == "euclidean" else "manhattan_distance"
    return Kernel(HERE / "nearest_f32.c", when, params, tokens={"F": name})


def _most(site: Site) -> int:
    """The largest integer distance of two points."""
    return site.x.shape[-1] * (255**2 if _op(site).metric == "euclidean" else 255)


def _up(site: Site) -> int:
    """Squares are shifted left by this even number before the root is taken, so that it keeps more bits."""
    return (31 - _most(site).bit_length()) // 2 * 2 if _op(site).metric == "euclidean" else 0


def _is_int8(site: Site) -> bool:
    fits = site.x.dtype == site.outs[1].dtype == "int8" and not site.x.constant
    return fits and _most(site) < 2**31


def _points(site: Site) -> Array:
    return site.x.q.quantize(cast(Array, site.ins[1].data), "int8")


def _requantization(site: Site) -> tuple[int, int]:
    return fixed.multiplier(float(site.x.q.s) * 2.0 ** (-_up(site) // 2) / float(site.outs[1].q.s))


def _int8_params(site: Site) -> Params:
    m, shift = _requantization(site)
    q = site.outs[1].q
    lo, hi = fixed.clamp_range(None, q, "int8")
    numbers = {"mult": m, "shift": shift, "out_zp": q.z, "lo": lo, "hi": hi}
    kind = {"euclidean": int(_op(site).metric == "euclidean"), "up": _up(site)}
    return {**_shape(site), "points": _points(site), **kind, **numbers}


def _least_k(site: Site) -> int:
    return 4 * _op(site).k


@register
@dataclass(frozen=True)
class Nearest(Op):
    """x [1, F], points [n, F] constant -> (indices [1, k] int32, distances [1, k]), nearest first.

    The earlier of points that are equally far comes first.
    """

    k: int
    metric: Metric = "euclidean"

    name: ClassVar[str] = "nearest"
    operands: ClassVar[int | None] = 2
    float_constants: ClassVar[tuple[int, ...]] = (1,)
    kernels = (
        Kernel(HERE / "nearest_s8.c", _is_int8, _int8_params, scratch=_least_k),
        *(_float(metric) for metric in METRICS),
    )

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        shape = (*ins[0].shape[:-1], self.k)
        return (shape, shape)

    def result_dtypes(self, ins: Sequence[Tensor]) -> tuple[str, ...]:
        return ("int32", ins[0].dtype)

    def check(self, site: Site) -> str | None:
        points = site.ins[1]
        if self.metric not in METRICS:
            return f"the metric is '{self.metric}', expected one of {', '.join(METRICS)}"
        if len(site.x.shape) != 2 or site.x.shape[0] != 1:
            return f"the input has shape {site.x.shape}, expected (1, features)"
        if not points.constant or points.dtype != "float32" or len(points.shape) != 2:
            return "the points must be a float32 constant [points, features]"
        if points.shape[1] != site.x.shape[1]:
            return f"the input has {site.x.shape[1]} features, the points {points.shape[1]}"
        if not 1 <= self.k <= points.shape[0]:
            return f"{self.k} neighbours of {points.shape[0]} points"
        return None

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x, points = xs
        if site.x.dtype == "float32":
            far = self.distances(x, points)
            index = np.argsort(far, 1, kind="stable")[:, : self.k].astype(np.int32)
            near = np.take_along_axis(far, index, 1)
            return index, np.sqrt(near) if self.metric == "euclidean" else near
        far = self.distances(x.astype(np.int64), _points(site).astype(np.int64))
        index = np.argsort(far, 1, kind="stable")[:, : self.k].astype(np.int32)
        near = np.take_along_axis(far, index, 1)
        if self.metric == "euclidean":  # floor; exact, for float64 holds these integers
            near = np.floor(np.sqrt((near << _up(site)).astype(np.float64))).astype(np.int64)
        q = site.outs[1].q
        bounds = fixed.clamp_range(None, q, "int8")
        return index, fixed.finish(near, *_requantization(site), q.z, bounds, "int8")

    def distances(self, x: Array, points: Array) -> Array:
        """[N, n]: sums of squares, or of absolute differences."""
        size = np.square if self.metric == "euclidean" else np.abs
        return np.stack([size(sample - points).sum(-1) for sample in x])

    def macs(self, site: Site) -> int:
        return site.ins[1].size

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        x, points = xs
        p = 2.0 if self.metric == "euclidean" else 1.0
        far = torch.cdist(x, points, p=p, compute_mode="donot_use_mm_for_euclid_dist")
        near, index = far.sort(dim=1, stable=True)
        return index[:, : self.k].to(torch.int32), near[:, : self.k]

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) != 2 or shape[0] != 1:
            return None
        n = int(rng.integers(1, 9))
        points = rng.normal(0, 1, (n, shape[1])).astype(np.float32)
        return Example(cls(int(rng.integers(1, n + 1)), METRICS[int(rng.integers(2))]), (shape, points))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        rng = np.random.default_rng(8)
        for metric in METRICS:
            for n, features, k in ((1, 1, 1), (20, 5, 3), (7, 64, 7), (30, 3, 1)):
                points = rng.normal(0, 1.5, (n, features)).astype(np.float32)
                yield Example(cls(k, metric), ((1, features), points), why=f"{k} of {n}, {metric}")
        points = np.repeat(rng.normal(0, 1, (3, 4)), 3, axis=0).astype(np.float32)
        yield Example(cls(5), ((1, 4), points), why="points that lie together: the earlier ones come first")
