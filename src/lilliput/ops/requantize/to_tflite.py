"""Quantize and dequantize as TensorFlow Lite operators."""

from __future__ import annotations

from lilliput.exporters.registry import to_tflite
from lilliput.exporters.tflite import TfliteWriter
from lilliput.op import Site
from lilliput.ops.requantize import Dequantize, Quantize


@to_tflite(Quantize)
def quantize(w: TfliteWriter, site: Site) -> None:
    w.plain("QUANTIZE", site)


@to_tflite(Dequantize)
def dequantize(w: TfliteWriter, site: Site) -> None:
    w.plain("DEQUANTIZE", site)
