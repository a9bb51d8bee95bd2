"""Softmax as an ONNX operator."""

from __future__ import annotations

from lilliput.exporters.onnx import OnnxWriter, dim
from lilliput.exporters.registry import to_onnx
from lilliput.op import Site
from lilliput.ops.softmax.softmax import Softmax


@to_onnx(Softmax)
def softmax(w: OnnxWriter, site: Site) -> None:
    op = site.op
    assert isinstance(op, Softmax)
    x = w.real(site.x)
    if op.beta != 1.0:
        x = w.node("Mul", [x, w.floats(op.beta)])
    w.result(site.y, w.node("Softmax", [x], axis=dim(-1, len(site.x.shape))))
