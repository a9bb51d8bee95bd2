"""Softmax as a TensorFlow Lite operator."""

from __future__ import annotations

from lilliput.exporters.registry import to_tflite
from lilliput.exporters.tflite import TfliteWriter
from lilliput.op import Site
from lilliput.ops.softmax.softmax import Softmax


@to_tflite(Softmax)
def softmax(w: TfliteWriter, site: Site) -> None:
    assert isinstance(site.op, Softmax)
    w.plain("SOFTMAX", site, beta=site.op.beta)
