"""Sums, differences and products as ONNX operators."""

from __future__ import annotations

from lilliput.exporters.onnx import OnnxWriter
from lilliput.exporters.registry import to_onnx
from lilliput.op import Op, Site
from lilliput.ops.binary.arithmetic import Add, Mul, Sub
from lilliput.ops.binary.common import Binary

NAMES: dict[type[Op], str] = {Add: "Add", Sub: "Sub", Mul: "Mul"}


@to_onnx(*NAMES)
def binary(w: OnnxWriter, site: Site) -> None:
    assert isinstance(site.op, Binary)
    operands = [w.operand(t, len(site.y.shape)) for t in site.ins]
    w.result(site.y, w.node(NAMES[type(site.op)], operands), site.op.clamp)
