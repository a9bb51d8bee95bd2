"""What Conv2d and DepthwiseConv2d share: a window that slides over an image, one requantization per channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from lilliput.graph import Array, Shape, Tensor
from lilliput.interval import Interval
from lilliput.op import Op, Rows, Site
from lilliput.ops.conv import common, reach
from lilliput.ops.conv.common import Padding, Pair
from lilliput.ops.conv.types import types_refused


@dataclass(frozen=True)
class WindowedConv(Op):
    """A convolution with [*, kh, kw, *] weights; `weights` says which axis is the output's channel."""

    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    dilation: Pair = (1, 1)

    operands: ClassVar[int | None] = 3
    fuses_clamp: ClassVar[bool] = True
    folds_affine: ClassVar[bool] = True
    folds_pad: ClassVar[bool] = True
    bias: ClassVar[int | None] = 2
    wide_biases: ClassVar[tuple[str, ...]] = ("int32", "int64")
    """The types of the bias of an int16 result."""

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        n, h, w, _ = ins[0].shape
        _, kh, kw, _ = ins[1].shape
        oh = common.out_size(h, kh, self.stride[0], self.dilation[0], self.padding[0])
        ow = common.out_size(w, kw, self.stride[1], self.dilation[1], self.padding[1])
        return ((n, oh, ow, ins[1].shape[self.weights[1]]),)

    def check(self, site: Site) -> str | None:
        if len(site.x.shape) != 4:
            return f"the input has shape {site.x.shape}, expected (batch, height, width, channels)"
        if misfit := self.misfit(site):
            return misfit
        o = site.ins[1].shape[self.weights[1]]
        if site.ins[2].shape != (o,):
            return f"bias has shape {site.ins[2].shape}, expected ({o},)"
        return types_refused(site, self.wide_biases)

    def misfit(self, site: Site) -> str | None:
        """Why these weights cannot serve this input, or None."""
        raise NotImplementedError

    def geometry(self, site: Site) -> common.Geometry:
        _, kh, kw, _ = site.ins[1].shape
        return common.geometry(site, self, (kh, kw))

    def rows(self, site: Site) -> Rows:
        return common.row_schedule(site, self, site.ins[1].shape[1], site.x.q.z if site.integer else 0.0)

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        return (reach.results(site, self.accumulator_bounds(site, ins[0])),)

    def accumulator_bounds(self, site: Site, x: Interval) -> Interval | None:
        return reach.accumulators(site, x)

    def trimmed(self, site: Site) -> tuple[Op, Array] | None:
        found = reach.trimmed(site)
        return None if found is None else (replace(self, padding=found[0]), found[1])

    def scale(self, site: Site) -> Array:
        return common.effective_scale(site)
