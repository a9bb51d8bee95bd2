"""Sums, differences and products as TensorFlow Lite operators."""

from __future__ import annotations

from lilliput.exporters.registry import to_tflite
from lilliput.exporters.tflite import TfliteWriter
from lilliput.op import Op, Site
from lilliput.ops.binary.arithmetic import Add, Mul, Sub
from lilliput.ops.binary.common import Binary

NAMES: dict[type[Op], str] = {Add: "ADD", Sub: "SUB", Mul: "MUL"}


@to_tflite(*NAMES)
def binary(w: TfliteWriter, site: Site) -> None:
    assert isinstance(site.op, Binary)
    w.plain(NAMES[type(site.op)], site, fused_activation=w.activation(site.op.clamp))
