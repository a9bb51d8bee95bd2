"""Mean and the position of the greatest element as TensorFlow Lite operators."""

from __future__ import annotations

from lilliput.exporters.registry import to_tflite
from lilliput.exporters.tflite import TfliteWriter
from lilliput.op import Site
from lilliput.ops.reduce.mean import Mean


@to_tflite(Mean)
def mean(w: TfliteWriter, site: Site) -> None:
    assert isinstance(site.op, Mean)
    inputs = [w.tensor(site.x), w.ints(site.op.axes)]
    w.operator("MEAN", inputs, [w.tensor(site.y)], keep_dims=site.op.keep_dims)
