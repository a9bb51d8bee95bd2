"""Convolutions and linear layers as ONNX operators."""

from __future__ import annotations

import numpy as np

from lilliput.exporters.onnx import OnnxWriter
from lilliput.exporters.registry import to_onnx
from lilliput.op import Site
from lilliput.ops.conv.conv2d import Conv2d
from lilliput.ops.conv.depthwise import DepthwiseConv2d
from lilliput.ops.conv.linear import Linear


@to_onnx(Conv2d, DepthwiseConv2d)
def conv(w: OnnxWriter, site: Site) -> None:
    op = site.op
    assert isinstance(op, Conv2d | DepthwiseConv2d)
    weights = site.ins[1]
    assert weights.data is not None
    depthwise = isinstance(op, DepthwiseConv2d)
    groups = site.x.shape[3] if isinstance(op, DepthwiseConv2d) else op.groups
    data = np.transpose(weights.data, (3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
    (top, bottom), (left, right) = op.padding
    value = w.node(
        "Conv",
        [w.real(site.x), w.weights(weights, data, 0), w.bias(site.ins[2], site.x, weights)],
        kernel_shape=list(data.shape[2:]),
        strides=list(op.stride),
        dilations=list(op.dilation),
        pads=[top, left, bottom, right],
        group=groups,
    )
    w.result(site.y, value, op.clamp)


@to_onnx(Linear)
def linear(w: OnnxWriter, site: Site) -> None:
    op, (x, weights, bias) = site.op, site.ins
    assert isinstance(op, Linear)
    assert weights.data is not None
    offset = w.bias(bias, x, weights)
    if len(x.shape) == 2:
        value = w.node("Gemm", [w.real(x), w.weights(weights, weights.data, 0), offset], transB=1)
    else:
        rows = w.operand(x, len(x.shape))
        if len(x.shape) == 4:
            rows = w.transposed(rows, (0, 2, 3, 1))
        value = w.node("MatMul", [rows, w.weights(weights, weights.data.T, 1)])
        value = w.node("Add", [value, offset])
        if len(x.shape) == 4:
            value = w.transposed(value, (0, 3, 1, 2))
    w.result(site.y, value, op.clamp)
