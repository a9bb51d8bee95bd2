"""Windows over one, two or three axes: ONNX's attributes, and how any number of axes becomes a plane of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.graph import Shape
from lilliput.ops.conv.common import Padding, Pair
from lilliput.ops.shape import Reshape

if TYPE_CHECKING:
    from lilliput.importers.builder import Builder, Value
    from lilliput.importers.onnx_reader import OnnxNode

LARGEST = 4096
"""A file must not make us pad without bound."""


@dataclass(frozen=True)
class Axis:
    """A window along one axis; `pad` is before and after the input."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    pad: Pair = (0, 0)

    @property
    def span(self) -> int:
        return self.dilation * (self.kernel - 1) + 1


NOTHING = Axis(1)


def axes(n: OnnxNode, sizes: Sequence[int], kernel: Sequence[int]) -> list[Axis]:
    """The window along each axis of an input of these sizes, with the padding that `auto_pad` stands for."""
    rank = len(sizes)
    strides, dilations = (list(n.attr(name, (1,) * rank)) for name in ("strides", "dilations"))
    pads, auto = list(n.attr("pads", (0,) * 2 * rank)), n.attr("auto_pad", "NOTSET")
    if [len(kernel), len(strides), len(dilations), len(pads)] != [rank, rank, rank, 2 * rank]:
        raise UserError(
            f"{n.where}: window {list(kernel)}, strides {strides}, dilations {dilations} and pads {pads} do not "
            f"fit {rank} axes"
        )
    if min(*kernel, *strides, *dilations) < 1 or max(*kernel, *dilations, *map(abs, pads)) > LARGEST:
        raise UserError(
            f"{n.where}: window {list(kernel)}, strides {strides}, dilations {dilations} and pads {pads}, expected "
            f"1 to {LARGEST}"
        )
    found = []
    for i, size in enumerate(sizes):
        axis = Axis(kernel[i], strides[i], dilations[i], (pads[i], pads[rank + i]))
        if auto in ("SAME_UPPER", "SAME_LOWER"):
            total = max((-(-size // axis.stride) - 1) * axis.stride + axis.span - size, 0)
            less, more = total // 2, total - total // 2
            pad = (less, more) if auto == "SAME_UPPER" else (more, less)
        else:
            pad = axis.pad if auto == "NOTSET" else (0, 0)
        found.append(Axis(axis.kernel, axis.stride, axis.dilation, pad))
    if any(min(a.pad) < 0 for a in found):
        raise UserError(f"{n.where}: pads {pads}, expected counts of at least 0")
    return found


def pairs(two: Sequence[Axis]) -> tuple[Pair, Pair, Padding, Pair]:
    """(window, stride, padding, dilation) of two axes."""
    a, c = two
    return (a.kernel, c.kernel), (a.stride, c.stride), (a.pad, c.pad), (a.dilation, c.dilation)


PLANE = (0, 2, 3, 1)


def as_plane(b: Builder, x: Value, shape: Shape) -> Value:
    """Channels-last storage of any rank as a plane [batch, height, width, channels]."""
    if b.tensor(x).shape == shape:
        return x
    return b.add(Reshape(shape), [x], PLANE)


def as_stored(b: Builder, x: Value, shape: Shape) -> Value:
    """A plane as channels-last storage `shape` of another rank."""
    rank = len(shape)
    return b.add(Reshape(shape), [x], (0, *range(2, rank), 1)) if b.tensor(x).shape != shape else x
