"""Layers that move elements: reshaping, padding, cropping, repeating."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.builder import Value
from lilliput.importers.keras.builder import first
from lilliput.importers.keras.registry import keras
from lilliput.ops.resize.importing import interpolated, nearest_planes
from lilliput.ops.resize.positions import Axis
from lilliput.ops.shape.importing import (
    expanded,
    padded,
    permuted,
    region,
    resolved,
    selected,
    unsqueezed,
    view_as,
)

if TYPE_CHECKING:
    from lilliput.importers.keras.builder import KerasBuilder, Layer

LARGEST = 4096


@keras("Flatten")
def flatten(b: KerasBuilder, n: Layer) -> Value:
    x = n.x
    if len(x.order) > 2 and first(n, len(x.order)):
        x = permuted(x, (0, *range(2, len(x.order)), 1))
    elif len(x.order) <= 2:
        n.settings.get("data_format")
    return view_as(b, x, (b.shape(x)[0], int(np.prod(b.shape(x)[1:]))))


@keras("Reshape")
def reshape(b: KerasBuilder, n: Layer) -> Value:
    found = n.settings.get("target_shape")
    if not isinstance(found, list) or len(found) > 7 or not all(type(d) is int and d >= -1 for d in found):
        raise n.settings.wrong("target_shape", "at most 7 sizes, of which one may be -1")
    batch, *rest = b.shape(n.x)
    return view_as(b, n.x, (batch, *resolved(found, int(np.prod(rest)))))


@keras("Permute")
def permute(b: KerasBuilder, n: Layer) -> Value:
    found = n.settings.get("dims")
    if not isinstance(found, list) or sorted(map(str, found)) != sorted(map(str, range(1, len(n.x.order)))):
        raise n.settings.wrong("dims", f"an order of 1 to {len(n.x.order) - 1}")
    return permuted(n.x, (0, *found))


@keras("RepeatVector")
def repeat_vector(b: KerasBuilder, n: Layer) -> Value:
    b.expect_rank(n, n.x, 2)
    batch, width = b.shape(n.x)
    return expanded(b, unsqueezed(b, n.x, 1), (batch, n.settings.integer("n"), width))


def _around(b: KerasBuilder, n: Layer, key: str, sign: int) -> Value:
    x, rank = n.x, int(n.kind[-2]) + 2
    b.expect_rank(n, x, rank)
    widths = [(sign * before, sign * after) for before, after in n.settings.ends(key, rank - 2)]
    none = (0, 0)
    return padded(b, x, [none, none, *widths] if first(n, rank) else [none, *widths, none])


@keras("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(b: KerasBuilder, n: Layer) -> Value:
    return _around(b, n, "padding", 1)


@keras("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(b: KerasBuilder, n: Layer) -> Value:
    return _around(b, n, "cropping", -1)


@keras("UpSampling1D", "UpSampling2D", "UpSampling3D")
def up_sampling(b: KerasBuilder, n: Layer) -> Value:
    rank = int(n.kind[-2])
    b.expect_rank(n, n.x, rank + 2)
    x = b.planes(n, n.x)
    factors = n.settings.integers("size", rank, most=LARGEST)
    kind = n.settings.choice("interpolation", ("nearest", "bilinear"), "nearest")
    sizes = b.shape(x)[2:]
    if max(f * s for f, s in zip(factors, sizes, strict=True)) > 1 << 16:
        raise UserError(
            f"{n.where}: size={factors} of an input of {sizes}, expected at most 65536 along an axis"
        )
    if kind == "nearest":
        chosen = {
            d + 2: np.repeat(np.arange(s), f)
            for d, (s, f) in enumerate(zip(sizes, factors, strict=True))
            if f > 1
        }
        return b.from_planes(n, nearest_planes(b, x, chosen))
    axes = {
        d + 2: Axis(s, s * f, float(f)) for d, (s, f) in enumerate(zip(sizes, factors, strict=True)) if f > 1
    }
    taps = {d: a.taps("linear") for d, a in axes.items()}
    return b.from_planes(n, interpolated(b, x, axes, taps, "linear", plain=True))


@keras("ops.GetItem")
def get_item(b: KerasBuilder, n: Layer) -> Value:
    """x[..., 2, 1:5]: indices and slices of known ends; Keras writes a slice as {"class_name": "__slice__"}."""
    key = n.args[1] if len(n.args) == 2 else n.options.get("key")
    items = key if isinstance(key, list) else [key]
    x = n.x
    if None in items:
        raise UserError(f"{n.where}: a new axis by None is not supported; use keras.ops.expand_dims")
    whole = {"class_name": "__ellipsis__"}
    if whole in items:
        at = items.index(whole)
        items = [*items[:at], *[None] * (len(x.order) - len(items) + 1), *items[at + 1 :]]
    if len(items) > len(x.order):
        raise UserError(f"{n.where}: {len(items)} indices for {len(x.order)} dimensions")
    gone: list[tuple[int, int]] = []
    chosen: dict[int, range] = {}
    for dim, item in enumerate(items):
        size = b.shape(x)[dim]
        if type(item) is int:
            gone.append((dim, item))
        elif isinstance(item, dict) and item.get("class_name") == "__slice__":
            config = item.get("config")
            ends = [config.get(k) if isinstance(config, dict) else "" for k in ("start", "stop", "step")]
            if not all(v is None or type(v) is int for v in ends):
                raise UserError(
                    f"{n.where}: the slice {str(config)[:80]} is not known when the model is compiled"
                )
            kept = range(*slice(*ends).indices(size))
            if len(kept) != size or kept.step != 1:
                chosen[dim] = kept
        elif item is not None:
            raise UserError(f"{n.where}: the index {str(item)[:80]} is not supported")
    if 0 in chosen or any(dim == 0 for dim, _ in gone):
        raise UserError(f"{n.where}: samples of a batch cannot be chosen")
    y = region(b, x, chosen) if chosen else x
    for dim, index in reversed(gone):
        size = b.shape(y)[dim]
        if not -size <= index < size:
            raise UserError(f"{n.where}: index {index} of a dimension of {size}")
        y = selected(b, y, dim, index % size)
    return y


@keras("ops.Reshape")
def function_reshape(b: KerasBuilder, n: Layer) -> Value:
    found = (
        n.settings.get("newshape") or n.options.get("newshape") or (n.args[1] if len(n.args) == 2 else None)
    )
    if (
        not isinstance(found, list)
        or not 0 < len(found) <= 8
        or not all(type(d) is int and d >= -1 for d in found)
    ):
        raise UserError(f"{n.where}: the shape is {str(found)[:80]}, expected at most 8 sizes")
    batch, *rest = b.shape(n.x)
    return view_as(b, n.x, (batch, *resolved(found[1:], int(np.prod(rest)))))
