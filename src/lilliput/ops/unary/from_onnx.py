"""How ONNX's functions of one element become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.importers.registry import onnx
from lilliput.ops.unary.clamp import Clamp
from lilliput.ops.unary.smooth import Sigmoid, Tanh

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode


@onnx("Relu")
def relu(b: OnnxBuilder, n: OnnxNode) -> Value:
    return b.add(Clamp(0.0, float("inf")), [b.value(n, 0)])


@onnx("Sigmoid")
def sigmoid(b: OnnxBuilder, n: OnnxNode) -> Value:
    return b.add(Sigmoid(), [b.value(n, 0)])


@onnx("Tanh")
def tanh(b: OnnxBuilder, n: OnnxNode) -> Value:
    return b.add(Tanh(), [b.value(n, 0)])
