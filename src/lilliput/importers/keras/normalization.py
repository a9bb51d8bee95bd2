"""Normalizations, and the scaling of inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.builder import Value
from lilliput.importers.keras.builder import planes_order
from lilliput.importers.keras.registry import keras
from lilliput.ops.norm.batch_norm import BatchNorm
from lilliput.ops.norm.convert import grouped, over_last
from lilliput.ops.norm.lp_norm import LpNorm
from lilliput.ops.norm.normalize import LayerNorm, RmsNorm

if TYPE_CHECKING:
    from lilliput.importers.keras.builder import KerasBuilder, Layer


def _axes(b: KerasBuilder, n: Layer, x: Value) -> list[int]:
    """The axes that a setting names, counted from the front, in order."""
    found, rank = n.settings.get("axis", -1), len(x.order)
    several = found if isinstance(found, list) else [found]
    if not several or not all(type(a) is int and -rank < a < rank and a % rank for a in several):
        raise n.settings.wrong("axis", f"axes from 1 to {rank - 1}")
    return sorted({a % rank for a in several})


def affine(b: KerasBuilder, x: Value, axis: int, scale: Array, offset: Array) -> Value:
    """x scale + offset along an axis."""
    rank = len(x.order)
    channels = b.shape(x)[axis]
    last = b.reorder(x, (*(d for d in range(rank) if d != axis), axis))
    constants = [b.constant(np.broadcast_to(np.asarray(v, np.float32), (channels,))) for v in (scale, offset)]
    return b.add(BatchNorm(), [last, *constants])


def _scales(n: Layer, rest: int = 0) -> tuple[Array | None, Array | None, list[Array]]:
    """(gamma, beta, further variables)."""
    scale, center = n.settings.flag("scale", True), n.settings.flag("center", True)
    found = n.weights(scale + center + rest)
    return (
        found[0] if scale else None,
        found[int(scale)] if center else None,
        found[int(scale) + int(center) :],
    )


@keras("BatchNormalization")
def batch(b: KerasBuilder, n: Layer) -> Value:
    x, epsilon = b.real(n.x), n.settings.number("epsilon", 1e-3)
    axes = _axes(b, n, x)
    if len(axes) != 1:
        raise n.settings.wrong("axis", "one axis")
    gamma, beta, (mean, variance) = _scales(n, 2)
    scale = (1.0 if gamma is None else gamma) / np.sqrt(variance.astype(np.float64) + epsilon)
    return affine(b, x, axes[0], scale, (0.0 if beta is None else beta) - mean.astype(np.float64) * scale)


def _trailing(b: KerasBuilder, n: Layer, x: Value) -> int:
    """The first of the axes that are normalized together: the last ones."""
    axes, rank = _axes(b, n, x), len(x.order)
    if axes != list(range(axes[0], rank)):
        raise n.settings.wrong("axis", "the last axis or axes")
    return axes[0]


@keras("LayerNormalization")
def layer(b: KerasBuilder, n: Layer) -> Value:
    x, epsilon = b.plain(b.real(n.x)), n.settings.number("epsilon", 1e-3)
    gamma, beta, _ = _scales(n)
    return over_last(b, LayerNorm, x, _trailing(b, n, x), gamma, beta, epsilon)


@keras("RMSNormalization")
def rms(b: KerasBuilder, n: Layer) -> Value:
    x, epsilon = b.plain(b.real(n.x)), n.settings.number("epsilon", 1e-6)
    (gamma,) = n.weights(1)
    return over_last(b, RmsNorm, x, _trailing(b, n, x), gamma, None, epsilon)


@keras("GroupNormalization")
def group(b: KerasBuilder, n: Layer) -> Value:
    x, epsilon = b.plain(b.real(n.x)), n.settings.number("epsilon", 1e-3)
    b.expect_rank(n, x, 3, 4, 5)
    rank = len(x.order)
    if _axes(b, n, x) != [rank - 1]:
        raise n.settings.wrong("axis", "the last axis")
    groups = n.settings.integer("groups", least=-1)
    gamma, beta, _ = _scales(n)
    count = b.shape(x)[-1] if groups == -1 else groups
    y = grouped(b, Value(x.name, planes_order(rank)), count, gamma, beta, epsilon)
    return Value(y.name, tuple(range(rank)))


@keras("UnitNormalization")
def unit(b: KerasBuilder, n: Layer) -> Value:
    x = b.plain(b.real(n.x))
    axes = _axes(b, n, x)
    if len(axes) != 1:
        raise n.settings.wrong("axis", "one axis")
    return b.add(LpNorm(2, axes[0], 1e-6), [x])


def _channels(b: KerasBuilder, n: Layer, x: Value, given: Array) -> Array:
    """One number per channel of the last axis, from one for all or so many."""
    if given.size not in (1, b.shape(x)[-1]):
        raise UserError(f"{n.where}: {given.size} numbers for {b.shape(x)[-1]} channels")
    return np.broadcast_to(given.reshape(-1), (b.shape(x)[-1],))


@keras("Rescaling")
def rescaling(b: KerasBuilder, n: Layer) -> Value:
    x = b.plain(b.real(n.x))
    given = [n.settings.numbers(key) for key in ("scale", "offset")]
    scale, offset = (
        _channels(b, n, x, np.array(v if v is not None else [default], np.float64))
        for v, default in zip(given, (1.0, 0.0), strict=True)
    )
    return affine(b, x, len(x.order) - 1, scale, offset)


@keras("Normalization")
def normalization(b: KerasBuilder, n: Layer) -> Value:
    """(x - mean) / standard deviation; the statistics are settings, or what `adapt` found."""
    x = b.plain(b.real(n.x))
    if n.settings.get("axis", -1) not in (None, []) and _axes(b, n, x) != [len(x.order) - 1]:
        raise n.settings.wrong("axis", "the last axis, or null")
    mean, variance = n.settings.numbers("mean"), n.settings.numbers("variance")
    given = mean is not None and variance is not None
    found = [np.array(mean), np.array(variance)] if given else n.weights(3)[:2]
    m, v = (_channels(b, n, x, np.asarray(a, np.float64)) for a in found)
    deviation = np.maximum(np.sqrt(v), 1e-7)
    if n.settings.flag("invert"):
        return affine(b, x, len(x.order) - 1, deviation, m)
    return affine(b, x, len(x.order) - 1, 1 / deviation, -m / deviation)
