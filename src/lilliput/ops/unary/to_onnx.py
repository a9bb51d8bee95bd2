"""Functions of one element as ONNX operators."""

from __future__ import annotations

from lilliput.exporters.onnx import OnnxWriter
from lilliput.exporters.registry import to_onnx
from lilliput.op import Op, Site
from lilliput.ops.unary.clamp import Clamp
from lilliput.ops.unary.piecewise import HardSigmoid, HardSwish, LeakyRelu
from lilliput.ops.unary.smooth import Sigmoid, Tanh

NAMES: dict[type[Op], str] = {HardSwish: "HardSwish", Sigmoid: "Sigmoid", Tanh: "Tanh"}


@to_onnx(*NAMES)
def one_to_one(w: OnnxWriter, site: Site) -> None:
    w.result(site.y, w.node(NAMES[type(site.op)], [w.real(site.x)]))


@to_onnx(HardSigmoid)
def hard_sigmoid(w: OnnxWriter, site: Site) -> None:
    w.result(site.y, w.node("HardSigmoid", [w.real(site.x)], alpha=1 / 6, beta=0.5))


@to_onnx(LeakyRelu)
def leaky_relu(w: OnnxWriter, site: Site) -> None:
    assert isinstance(site.op, LeakyRelu)
    w.result(site.y, w.node("LeakyRelu", [w.real(site.x)], alpha=site.op.alpha))


@to_onnx(Clamp)
def clamp(w: OnnxWriter, site: Site) -> None:
    assert isinstance(site.op, Clamp)
    if site.op.raw and site.integer and not site.x.q.same(site.y.quant):
        raise w.refuse("it keeps its integers under another scale")
    w.result(site.y, w.real(site.x), (site.op.lo, site.op.hi))
