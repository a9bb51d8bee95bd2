"""How ONNX's normalizations become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import onnx
from lilliput.ops.binary import Add, Mul
from lilliput.ops.norm.convert import channel_last, fixed_statistics, grouped, over_last
from lilliput.ops.norm.lp_norm import LpNorm
from lilliput.ops.norm.lrn import LocalResponseNorm
from lilliput.ops.norm.normalize import LayerNorm, RmsNorm
from lilliput.ops.reduce import InverseDeviation, Mean, Variance

if TYPE_CHECKING:
    from lilliput.graph import Array
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode

NEVER_ZERO = 1e-9
"""What MeanVarianceNormalization adds to the deviation."""


@onnx("BatchNormalization", planes=True)
def batch_norm(b: OnnxBuilder, n: OnnxNode) -> Value | tuple[Value, ...]:
    x, epsilon = b.value(n, 0), float(n.attr("epsilon", 1e-5))
    weight, bias, mean, variance = (b.data(n, i) for i in range(1, 5))
    if not n.attr("spatial", 1):
        raise UserError(f"{n.where}: statistics per position (spatial=0) are not supported")
    if not n.attr("training_mode", 0):
        return fixed_statistics(b, x, mean, variance, weight, bias, epsilon)
    x = channel_last(b, x)
    y = grouped(b, x, len(mean), weight, bias, epsilon, across_batch=True)
    axes = tuple(range(len(x.order) - 1))
    found = b.add(Mean(axes), [x], (0,)), b.add(Variance(axes), [x], (0,))
    momentum = float(n.attr("momentum", 0.9))
    return y, *(_running(b, old, new, momentum) for old, new in zip((mean, variance), found, strict=True))


def _running(b: OnnxBuilder, old: Array, new: Value, momentum: float) -> Value:
    """old * momentum + new * (1 - momentum)"""
    part = b.add(Mul(), [new, b.constant(np.asarray(1 - momentum, np.float32))])
    return b.add(Add(), [part, b.constant(np.asarray(old * momentum, np.float32))])


@onnx("LayerNormalization")
def layer_norm(b: OnnxBuilder, n: OnnxNode) -> Value | tuple[Value, ...]:
    x, epsilon = b.value(n, 0), float(n.attr("epsilon", 1e-5))
    axis = int(n.attr("axis", -1)) % len(x.order)
    y = over_last(b, LayerNorm, x, axis, b.data(n, 1), b.optional(n, 2), epsilon)
    if not any(n.outputs[1:]):
        return y
    axes = tuple(sorted(b.axis(x, d) for d in range(axis, len(x.order))))
    return y, b.add(Mean(axes, True), [x]), b.add(InverseDeviation(axes, True, 0.0, epsilon), [x])


@onnx("RMSNormalization", "SimplifiedLayerNormalization", "com.microsoft:SimplifiedLayerNormalization")
def rms_norm(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    axis = int(n.attr("axis", -1)) % len(x.order)
    return over_last(b, RmsNorm, x, axis, b.data(n, 1), None, float(n.attr("epsilon", 1e-5)))


@onnx("InstanceNormalization", planes=True)
def instance_norm(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    return grouped(b, x, b.shape(x)[1], b.data(n, 1), b.data(n, 2), float(n.attr("epsilon", 1e-5)))


@onnx("GroupNormalization", planes=True)
def group_norm(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, groups = b.value(n, 0), int(n.attr("num_groups"))
    channels = b.shape(x)[1]
    gamma, beta = b.data(n, 1), b.data(n, 2)
    if n.version < 21:  # one number per group
        gamma, beta = (np.repeat(v, channels // groups) for v in (gamma, beta))
    return grouped(b, x, groups, gamma, beta, float(n.attr("epsilon", 1e-5)))


@onnx("MeanVarianceNormalization", planes=True)
def mean_variance(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    rank = len(x.order)
    axes = {int(d) % rank for d in n.attr("axes", (0, 2, 3))}
    if axes == set(range(rank)) - {1}:
        return grouped(b, x, b.shape(x)[1], None, None, NEVER_ZERO**2, across_batch=True)
    behind = [d for d in x.order if d in axes]
    x = b.reorder(x, (*(d for d in x.order if d not in axes), *behind))
    shape = b.tensor(x).shape[rank - len(behind) :]
    constants = [b.constant(np.full(shape, v, np.float32)) for v in (1.0, 0.0)]
    return b.add(LayerNorm(NEVER_ZERO**2, -len(behind)), [x, *constants])


@onnx("LpNormalization")
def lp_norm(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.value(n, 0)
    axis = int(n.attr("axis", -1)) % len(x.order)
    return b.add(LpNorm(int(n.attr("p", 2)), b.axis(x, axis) - len(x.order), 1e-30), [x])


@onnx("LRN", planes=True)
def local_response(b: OnnxBuilder, n: OnnxNode) -> Value:
    size = int(n.attr("size"))
    if size < 1:
        raise UserError(f"{n.where}: size is {size}, expected at least 1")
    before, after = (size - 1) // 2, size // 2
    alpha, beta, bias = (float(n.attr(k, v)) for k, v in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    return b.add(LocalResponseNorm(before, after, bias, alpha / size, beta), [channel_last(b, b.value(n, 0))])
