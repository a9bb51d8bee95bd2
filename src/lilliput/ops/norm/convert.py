"""How foreign normalizations become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.builder import Builder
from lilliput.importers.registry import aten, tflite
from lilliput.ops.norm.batch_norm import BatchNorm
from lilliput.ops.norm.lp_norm import OUTPUT, LpNorm
from lilliput.ops.norm.lrn import LocalResponseNorm
from lilliput.ops.norm.normalize import GroupNorm, LayerNorm, RmsNorm

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


def channel_last(b: Builder, x: Value) -> Value:
    """Stored so that the framework's dimension 1, the channels, comes last."""
    return x if x.order[-1] == 1 else b.reorder(x, (0, *range(2, len(x.order)), 1))


def fixed_statistics(
    b: Builder,
    x: Value,
    mean: Array,
    variance: Array,
    weight: Array | None,
    bias: Array | None,
    epsilon: float,
) -> Value:
    """Batch normalization with known statistics: a scale and an offset per channel."""
    scale = (1.0 if weight is None else weight) / np.sqrt(variance.astype(np.float64) + epsilon)
    offset = (0.0 if bias is None else bias) - mean.astype(np.float64) * scale
    constants = (b.constant(np.asarray(v, np.float32)) for v in (scale, offset))
    return b.add(BatchNorm(), [channel_last(b, x), *constants])


def over_last(
    b: Builder,
    cls: type[LayerNorm | RmsNorm],
    x: Value,
    axis: int,
    gamma: Array | None,
    beta: Array | None,
    epsilon: float,
) -> Value:
    """Normalization over the framework's dimensions from `axis` on, whichever way they are stored behind the others."""
    rank = len(x.order)
    if sorted(x.order[axis:]) != list(range(axis, rank)):
        x = b.logical(x)
    inner = [d - axis for d in x.order[axis:]]
    shape = b.shape(x)[axis:]

    def stored(given: Array | None, otherwise: float) -> Value:
        whole = np.full(shape, otherwise) if given is None else np.broadcast_to(given, shape)
        return b.constant(np.transpose(whole, inner).astype(np.float32))

    return b.add(cls(epsilon, axis - rank), [x, stored(gamma, 1.0), stored(beta, 0.0)])


def grouped(
    b: Builder,
    x: Value,
    groups: int,
    gamma: Array | None,
    beta: Array | None,
    epsilon: float,
    across_batch: bool = False,
) -> Value:
    """Normalization over positions and the channels of a group."""
    x = channel_last(b, x)
    channels = b.shape(x)[1]
    whole = (
        np.full(channels, otherwise) if given is None else given
        for given, otherwise in ((gamma, 1.0), (beta, 0.0))
    )
    constants = [b.constant(np.asarray(v, np.float32)) for v in whole]
    return b.add(GroupNorm(epsilon, groups, across_batch), [x, *constants])


def _optional(b: TorchBuilder, call: Call, key: str) -> Array | None:
    return None if call.get(key) is None else b.data(call[key])


@aten("batch_norm", "_native_batch_norm_legit_no_training", planes=True)
def batch_norm(b: TorchBuilder, call: Call) -> Value:
    if call.get("training"):
        raise UserError(f"layer '{b.where}': batch norm is in training mode; call model.eval()")
    x = b.value(call["input"])
    weight, bias = _optional(b, call, "weight"), _optional(b, call, "bias")
    mean, variance = _optional(b, call, "running_mean"), _optional(b, call, "running_var")
    if mean is None or variance is None:
        raise UserError(
            f"layer '{b.where}': batch norm without running statistics would need those of each input; "
            "train it with track_running_stats=True"
        )
    return fixed_statistics(b, x, mean, variance, weight, bias, float(call["eps"]))


def _layer(b: TorchBuilder, call: Call, cls: type[LayerNorm | RmsNorm]) -> Value:
    x = b.value(call["input"])
    axis = len(x.order) - len(call["normalized_shape"])
    given = call.get("eps")
    epsilon = float(np.finfo(np.float32).eps) if given is None else float(given)
    return over_last(b, cls, x, axis, _optional(b, call, "weight"), _optional(b, call, "bias"), epsilon)


@aten("layer_norm")
def layer_norm(b: TorchBuilder, call: Call) -> Value:
    return _layer(b, call, LayerNorm)


@aten("native_layer_norm")
def native_layer_norm(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    return (_layer(b, call, LayerNorm),)  # mean and deviation are for the backward pass


@aten("rms_norm")
def rms_norm(b: TorchBuilder, call: Call) -> Value:
    return _layer(b, call, RmsNorm)


@aten("group_norm", planes=True)
def group_norm(b: TorchBuilder, call: Call) -> Value:
    weight, bias = _optional(b, call, "weight"), _optional(b, call, "bias")
    return grouped(b, b.value(call["input"]), int(call["num_groups"]), weight, bias, float(call["eps"]))


@aten("instance_norm", planes=True)
def instance_norm(b: TorchBuilder, call: Call) -> Value:
    x, epsilon = b.value(call["input"]), float(call["eps"])
    weight, bias = _optional(b, call, "weight"), _optional(b, call, "bias")
    if call["use_input_stats"]:
        return grouped(b, x, b.shape(x)[1], weight, bias, epsilon)
    mean, variance = b.data(call["running_mean"]), b.data(call["running_var"])
    return fixed_statistics(b, x, mean, variance, weight, bias, epsilon)


@tflite("L2_NORMALIZATION")
def tflite_l2_normalization(b: TfliteBuilder, o: TfliteOperator) -> None:
    y = b.output(o)
    if b.activation(o) is not None:
        raise UserError(f"{b.where(o)}: a fused activation is not supported")
    if y.dtype == "int8" and not OUTPUT.same(y.quant):
        raise UserError(
            f"{b.where(o)}: the result's quantization is {y.quant}, expected scale 1/128 and zero point 0"
        )
    b.add(o, LpNorm(2, -1, 1e-6), b.inputs(o))


@tflite("LOCAL_RESPONSE_NORMALIZATION")
def tflite_local_response(b: TfliteBuilder, o: TfliteOperator) -> None:
    radius = int(str(o.options["radius"]))
    bias, alpha, beta = (float(str(o.options[key])) for key in ("bias", "alpha", "beta"))
    b.add(o, LocalResponseNorm(radius, radius, bias, alpha, beta), b.inputs(o))
