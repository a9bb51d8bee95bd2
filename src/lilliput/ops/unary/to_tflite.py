"""Functions of one element as TensorFlow Lite operators."""

from __future__ import annotations

from lilliput.exporters.registry import to_tflite
from lilliput.exporters.tflite import TfliteWriter
from lilliput.op import Op, Site
from lilliput.ops.unary.clamp import Clamp
from lilliput.ops.unary.piecewise import HardSwish, LeakyRelu
from lilliput.ops.unary.smooth import Sigmoid, Tanh

NAMES: dict[type[Op], str] = {HardSwish: "HARD_SWISH", Sigmoid: "LOGISTIC", Tanh: "TANH"}


@to_tflite(*NAMES)
def one_to_one(w: TfliteWriter, site: Site) -> None:
    w.plain(NAMES[type(site.op)], site)


@to_tflite(LeakyRelu)
def leaky_relu(w: TfliteWriter, site: Site) -> None:
    assert isinstance(site.op, LeakyRelu)
    w.plain("LEAKY_RELU", site, alpha=site.op.alpha)


@to_tflite(Clamp)
def clamp(w: TfliteWriter, site: Site) -> None:
    op = site.op
    assert isinstance(op, Clamp)
    kind = w.activation((op.lo, op.hi))
    if kind == "RELU6" and site.integer and not op.raw and not site.x.q.same(site.y.quant):
        raise w.refuse("a RELU6 that requantizes; the format's leaves the scale as it is")
    w.plain(kind, site)
