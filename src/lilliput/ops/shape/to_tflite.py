"""Movement as TensorFlow Lite operators."""

from __future__ import annotations

import numpy as np

from lilliput.exporters.registry import to_tflite
from lilliput.exporters.tflite import TfliteWriter
from lilliput.op import Site
from lilliput.ops.shape.concat import Concat
from lilliput.ops.shape.pad import Pad
from lilliput.ops.shape.reshape import Reshape
from lilliput.ops.shape.resize import ResizeNearest, nearest, tflite_scale
from lilliput.ops.shape.slice import Slice
from lilliput.ops.shape.transpose import Transpose


@to_tflite(Reshape)
def reshape(w: TfliteWriter, site: Site) -> None:
    inputs = [w.tensor(site.x), w.ints(site.y.shape)]
    w.operator("RESHAPE", inputs, [w.tensor(site.y)], new_shape=site.y.shape)


@to_tflite(Transpose)
def transpose(w: TfliteWriter, site: Site) -> None:
    assert isinstance(site.op, Transpose)
    w.operator("TRANSPOSE", [w.tensor(site.x), w.ints(site.op.perm)], [w.tensor(site.y)])


@to_tflite(Slice)
def slice_(w: TfliteWriter, site: Site) -> None:
    op = site.op
    assert isinstance(op, Slice)
    x, y = w.tensor(site.x), w.tensor(site.y)
    if all(step == 1 for step in op.strides):
        w.operator("SLICE", [x, w.ints(op.begin), w.ints(op.size)], [y])
        return
    ends = [b + n * s for b, n, s in zip(op.begin, op.size, op.strides, strict=True)]
    open_end = sum(1 << axis for axis, end in enumerate(ends) if end < 0)
    inputs = [x, w.ints(op.begin), w.ints([max(end, 0) for end in ends]), w.ints(op.strides)]
    w.operator("STRIDED_SLICE", inputs, [y], end_mask=open_end)


@to_tflite(Concat)
def concat(w: TfliteWriter, site: Site) -> None:
    assert isinstance(site.op, Concat)
    w.plain("CONCATENATION", site, axis=site.op.axis, fused_activation="NONE")


@to_tflite(Pad)
def pad(w: TfliteWriter, site: Site) -> None:
    op = site.op
    assert isinstance(op, Pad)
    inputs = [w.tensor(site.x), w.constant(np.array(op.pads, np.int32))]
    if op.fill(site) == (site.y.quant.z if site.y.quant else 0):
        w.operator("PAD", inputs, [w.tensor(site.y)])
        return
    value = w.constant(np.array([op.fill(site)], site.y.dtype), site.y.quant)
    w.operator("PADV2", [*inputs, value], [w.tensor(site.y)])


@to_tflite(ResizeNearest)
def resize_nearest(w: TfliteWriter, site: Site) -> None:
    op = site.op
    assert isinstance(op, ResizeNearest)
    sizes, wanted = site.x.shape[1:3], site.y.shape[1:3]
    for align, half in ((False, False), (False, True), (True, False)):
        tables = tuple(
            nearest(n, size, tflite_scale(size, n, align), align=align, half=half)
            for n, size in zip(wanted, sizes, strict=True)
        )
        if tables == (op.rows, op.columns):
            inputs = [w.tensor(site.x), w.ints(wanted)]
            options = {"align_corners": align, "half_pixel_centers": half}
            w.operator("RESIZE_NEAREST_NEIGHBOR", inputs, [w.tensor(site.y)], **options)
            return
    raise w.refuse("a choice of rows and columns that none of the format's modes gives")
