"""Pooling as ONNX operators."""

from __future__ import annotations

from lilliput.exporters.onnx import OnnxWriter
from lilliput.exporters.registry import to_onnx
from lilliput.op import Site
from lilliput.ops.pool.pool2d import AvgPool2d, MaxPool2d, Pool2d


@to_onnx(AvgPool2d, MaxPool2d)
def pool(w: OnnxWriter, site: Site) -> None:
    op = site.op
    assert isinstance(op, Pool2d)
    (top, bottom), (left, right) = op.padding
    mean = isinstance(op, AvgPool2d)
    value = w.node(
        "AveragePool" if mean else "MaxPool",
        [w.real(site.x)],
        kernel_shape=list(op.window),
        strides=list(op.stride),
        pads=[top, left, bottom, right],
        **({} if mean else {"dilations": list(op.dilation)}),
    )
    w.result(site.y, value, op.clamp)
