"""Maximum and minimum as ONNX operators."""

from __future__ import annotations

from lilliput.exporters.onnx import OnnxWriter
from lilliput.exporters.registry import to_onnx
from lilliput.op import Site
from lilliput.ops.extremum.extremum import Extremum, Maximum, Minimum


@to_onnx(Maximum, Minimum)
def extremum(w: OnnxWriter, site: Site) -> None:
    assert isinstance(site.op, Extremum)
    operands = [w.operand(t, len(site.y.shape)) for t in site.ins]
    value = w.node("Max" if isinstance(site.op, Maximum) else "Min", operands)
    w.result(site.y, value, site.op.clamp)
