"""Quantize and dequantize: an ONNX tensor carries its pair already."""

from __future__ import annotations

from lilliput.exporters.onnx import OnnxWriter
from lilliput.exporters.registry import to_onnx
from lilliput.op import Site
from lilliput.ops.requantize import Dequantize, Quantize


@to_onnx(Quantize, Dequantize)
def passed_on(w: OnnxWriter, site: Site) -> None:
    w.result(site.y, w.real(site.x))
