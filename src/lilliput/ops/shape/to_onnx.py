"""Movement as ONNX operators; where four dimensions are reshaped, a transpose brings our order of elements."""

from __future__ import annotations

from lilliput.exporters.onnx import TO_NHWC, OnnxWriter, dim, dims, order
from lilliput.exporters.registry import to_onnx
from lilliput.op import Site
from lilliput.ops.shape.concat import Concat
from lilliput.ops.shape.pad import Pad
from lilliput.ops.shape.reshape import Reshape
from lilliput.ops.shape.resize import ResizeNearest, nearest, tflite_scale
from lilliput.ops.shape.slice import Slice
from lilliput.ops.shape.transpose import Transpose


@to_onnx(Reshape)
def reshape(w: OnnxWriter, site: Site) -> None:
    value = w.real(site.x)
    if len(site.x.shape) == 4 and site.x.shape[3] != site.x.size:
        value = w.transposed(value, TO_NHWC)
    value = w.node("Reshape", [value, w.ints(site.y.shape)])
    w.result(site.y, w.transposed(value, order(len(site.y.shape))))


@to_onnx(Transpose)
def transpose(w: OnnxWriter, site: Site) -> None:
    op, rank = site.op, len(site.x.shape)
    assert isinstance(op, Transpose)
    perm = [dim(op.perm[axis], rank) for axis in order(rank)]
    w.result(site.y, w.transposed(w.real(site.x), perm))


@to_onnx(Slice)
def slice_(w: OnnxWriter, site: Site) -> None:
    op, rank = site.op, len(site.x.shape)
    assert isinstance(op, Slice)
    ends = [b + n * s for b, n, s in zip(op.begin, op.size, op.strides, strict=True)]
    ends = [end if end >= 0 else -(2**31) for end in ends]  # before the first element
    axes = [dim(a, rank) for a in range(rank)]
    inputs = [w.real(site.x), *(w.ints(v) for v in (op.begin, ends, axes, op.strides))]
    w.result(site.y, w.node("Slice", inputs))


@to_onnx(Concat)
def concat(w: OnnxWriter, site: Site) -> None:
    assert isinstance(site.op, Concat)
    values = [w.real(t) for t in site.ins]
    w.result(site.y, w.node("Concat", values, axis=dim(site.op.axis, len(site.y.shape))))


@to_onnx(Pad)
def pad(w: OnnxWriter, site: Site) -> None:
    op = site.op
    assert isinstance(op, Pad)
    pads = [op.pads[axis] for axis in order(len(op.pads))]
    widths = [*(before for before, _ in pads), *(after for _, after in pads)]
    w.result(site.y, w.node("Pad", [w.real(site.x), w.ints(widths), w.floats(op.value)]))


@to_onnx(ResizeNearest)
def resize_nearest(w: OnnxWriter, site: Site) -> None:
    op = site.op
    assert isinstance(op, ResizeNearest)
    sizes, wanted = site.x.shape[1:3], site.y.shape[1:3]
    modes = ((False, "asymmetric"), (True, "half_pixel"))
    for half, mode in modes:
        tables = tuple(
            nearest(n, size, tflite_scale(size, n, False), half=half)
            for n, size in zip(wanted, sizes, strict=True)
        )
        if tables == (op.rows, op.columns):
            rounding = "round_prefer_ceil" if half else "floor"
            options = {"mode": "nearest", "coordinate_transformation_mode": mode, "nearest_mode": rounding}
            inputs = [w.real(site.x), "", "", w.ints(dims(site.y.shape))]
            w.result(site.y, w.node("Resize", inputs, **options))
            return
    raise w.refuse("a choice of rows and columns that none of ONNX's modes gives")
