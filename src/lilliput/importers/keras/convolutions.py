"""Convolutions of one to three axes, depthwise, separable and transposed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.builder import Value
from lilliput.importers.keras.activations import activated
from lilliput.importers.keras.registry import keras
from lilliput.ops.conv.axes import LARGEST, Axis
from lilliput.ops.conv.importing import convolved, transposed

if TYPE_CHECKING:
    from lilliput.importers.keras.builder import KerasBuilder, Layer

ALONG_ONE = ("Conv1D", "DepthwiseConv1D", "SeparableConv1D", "Conv1DTranspose")


def axes_of(n: Layer, sizes: tuple[int, ...], window: str, *, dilation: str = "dilation_rate") -> list[Axis]:
    """The window along every axis of an input of these sizes, with TensorFlow's padding."""
    from lilliput.importers.tflite import same_padding

    rank = len(sizes)
    kernel = n.settings.integers(window, rank, most=LARGEST)
    strides = kernel if n.settings.get("strides") is None else n.settings.integers("strides", rank)
    rates = (
        n.settings.integers(dilation, rank, most=LARGEST)
        if n.settings.get(dilation) is not None
        else [1] * rank
    )
    padding = n.settings.choice("padding", ("valid", "same", "causal"), "valid")
    found = []
    for size, k, s, d in zip(sizes, kernel, strides, rates, strict=True):
        span = d * (k - 1) + 1
        if span > (size if padding == "valid" else 2 * size + LARGEST):
            raise UserError(
                f"{n.where}: a window over {span} elements does not fit {size} with padding '{padding}'"
            )
        pad = (0, 0)
        if padding == "same":
            pad = same_padding(size, k, s, d)
        elif padding == "causal":
            pad = (span - 1, 0)
        found.append(Axis(k, s, d, pad))
    return found


def _bias(b: KerasBuilder, given: list[Array], channels: int) -> Value:
    return b.constant(given[0] if given else np.zeros(channels, np.float32))


def _foreign(kernel: Array) -> Array:
    """[*window, I / groups, O] as [O, I / groups, *window]."""
    return np.moveaxis(np.moveaxis(kernel, -1, 0), -1, 1)


def _depthwise(kernel: Array) -> Array:
    """[*window, I, multiplier] as [I multiplier, 1, *window]."""
    moved = np.moveaxis(kernel, (-2, -1), (0, 1))
    return moved.reshape(-1, 1, *moved.shape[2:])


def _sizes(b: KerasBuilder, n: Layer, x: Value, rank: int) -> tuple[int, ...]:
    """The lengths of the axes that the window goes along."""
    b.expect_rank(n, x, rank + 2)
    return b.shape(x)[2:]


def _check(n: Layer, kernel: Array, window: list[Axis], channels: int) -> None:
    if kernel.shape[:-2] != tuple(a.kernel for a in window) or not channels:
        raise UserError(f"{n.where}: weights of shape {kernel.shape} do not fit its kernel_size")


@keras("Conv1D", "Conv2D", "Conv3D")
def conv(b: KerasBuilder, n: Layer) -> Value:
    biased = n.settings.flag("use_bias", True)
    kernel, *bias = n.weights(1 + biased)
    x = b.planes(n, n.x)
    window = axes_of(n, _sizes(b, n, x, int(n.kind[4])), "kernel_size")
    groups, filters = n.settings.integer("groups", default=1), n.settings.integer("filters")
    _check(n, kernel, window, filters)
    channels = b.shape(x)[1]
    if kernel.shape[-2] * groups != channels or kernel.shape[-1] != filters or filters % groups:
        raise UserError(
            f"{n.where}: weights of shape {kernel.shape} in {groups} groups do not fit {channels} channels"
        )
    y = convolved(b, x, b.constant(_foreign(kernel)), _bias(b, bias, filters), window, groups)
    return activated(b, n, b.from_planes(n, y))


@keras("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise(b: KerasBuilder, n: Layer) -> Value:
    biased = n.settings.flag("use_bias", True)
    kernel, *bias = n.weights(1 + biased)
    y = _each_channel(b, n, kernel, bias)
    return activated(b, n, b.from_planes(n, y))


def _each_channel(b: KerasBuilder, n: Layer, kernel: Array, bias: list[Array]) -> Value:
    """A convolution of every channel on its own, as a framework with planes first has it."""
    x = b.planes(n, n.x)
    window = axes_of(n, _sizes(b, n, x, 1 if n.kind in ALONG_ONE else 2), "kernel_size")
    channels, each = b.shape(x)[1], n.settings.integer("depth_multiplier", default=1)
    _check(n, kernel, window, channels)
    if kernel.shape[-2:] != (channels, each):
        raise UserError(
            f"{n.where}: weights of shape {kernel.shape} do not fit {channels} channels times {each}"
        )
    return convolved(b, x, b.constant(_depthwise(kernel)), _bias(b, bias, channels * each), window, channels)


@keras("SeparableConv1D", "SeparableConv2D")
def separable(b: KerasBuilder, n: Layer) -> Value:
    """Each channel on its own, then a mix of them at every place."""
    biased = n.settings.flag("use_bias", True)
    kernel, mix, *bias = n.weights(2 + biased)
    middle = _each_channel(b, n, kernel, [])
    rank = kernel.ndim - 2
    filters = n.settings.integer("filters")
    if mix.shape != (*(1,) * rank, b.shape(middle)[1], filters):
        raise UserError(f"{n.where}: weights of shape {mix.shape} do not fit {b.shape(middle)[1]} channels")
    y = convolved(b, middle, b.constant(_foreign(mix)), _bias(b, bias, filters), [Axis(1)] * rank, 1)
    return activated(b, n, b.from_planes(n, y))


@keras("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def conv_transpose(b: KerasBuilder, n: Layer) -> Value:
    """What is cut off the whole result follows TensorFlow's padding, as Keras computes it for JAX."""
    biased = n.settings.flag("use_bias", True)
    kernel, *bias = n.weights(1 + biased)  # [*window, O, I]
    x = b.planes(n, n.x)
    rank, filters = int(n.kind[4]), n.settings.integer("filters")
    _sizes(b, n, x, rank)
    sizes = n.settings.integers("kernel_size", rank, most=LARGEST)
    strides = n.settings.integers("strides", rank, most=LARGEST)
    rates = n.settings.integers("dilation_rate", rank, most=LARGEST)
    same = n.settings.choice("padding", ("valid", "same")) == "same"
    more: list[int] | list[None] = [None] * rank
    if n.settings.get("output_padding") is not None:
        more = n.settings.integers("output_padding", rank, least=0, most=LARGEST)
    window = [Axis(k, s, d) for k, s, d in zip(sizes, strides, rates, strict=True)]
    _check(n, kernel, window, filters)
    if kernel.shape[-2:] != (filters, b.shape(x)[1]):
        raise UserError(f"{n.where}: weights of shape {kernel.shape} do not fit {b.shape(x)[1]} channels")
    crops = [_crop(a, extra, same) for a, extra in zip(window, more, strict=True)]
    w = np.moveaxis(kernel, (-1, -2), (0, 1))
    y = transposed(b, x, b.constant(w), _bias(b, bias, filters), window, crops, 1)
    return activated(b, n, b.from_planes(n, y))


def _crop(a: Axis, extra: int | None, same: bool) -> tuple[int, int]:
    """What is cut off before and after the (size - 1) stride + span elements of the whole result."""
    k = a.span
    if not same:
        return 0, -(max(k, a.stride) - k if extra is None else extra)
    total = a.stride + k - 2 if extra is None else k + k % 2 - 2 + extra
    before = min((total + 1) // 2, k - 1)
    return k - 1 - before, k - 1 - (total - before)
