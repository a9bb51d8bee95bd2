"""ONNX's losses over classes, made of its other operators: what a model computes that was exported with its loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.builder import Value
from lilliput.importers.onnx_compose import ask
from lilliput.importers.registry import onnx

if TYPE_CHECKING:
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode


def _likelihood(b: OnnxBuilder, n: OnnxNode, log_prob: Value) -> Value:
    """The negated logarithms of the probability of each target, weighted and reduced.

    A target of `ignore_index` counts nothing; any other one outside the classes counts as the nearest.
    """
    target = b.value(n, 1)
    if b.shape(target) != b.shape(log_prob)[:1] + b.shape(log_prob)[2:]:
        raise UserError(
            f"{n.where}: targets {b.shape(target)} for {b.shape(log_prob)}, expected all but dimension 1"
        )

    def part(op: str, *values: Value | None, **attributes: Any) -> Value:
        return ask(b, n, op, values, **attributes)

    dim = b.constant(np.array([1], np.int64))
    chosen = part("GatherElements", log_prob, part("Unsqueeze", target, dim), axis=1)
    loss = part("Neg", part("Squeeze", chosen, dim))
    weight = part("Gather", b.value(n, 2), target) if b.has(n, 2) else None
    ignored = n.attr("ignore_index")
    if ignored is not None:
        same = part("Equal", target, b.constant(np.array(ignored, b.tensor(target).dtype)))
        counted = weight or b.constant(np.ones((), np.float32))
        weight = part("Where", same, b.constant(np.zeros((), np.float32)), counted)
    if weight is not None:
        loss = part("Mul", loss, weight)
    reduction = str(n.attr("reduction", "mean"))
    if reduction == "none":
        return loss
    total = part("ReduceSum" if reduction == "sum" or weight is not None else "ReduceMean", loss, keepdims=0)
    if reduction == "mean" and weight is not None:
        return part("Div", total, part("ReduceSum", weight, keepdims=0))
    return total


@onnx("NegativeLogLikelihoodLoss")
def negative_log_likelihood(b: OnnxBuilder, n: OnnxNode) -> Value:
    return _likelihood(b, n, b.value(n, 0))


@onnx("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, ...]:
    log_prob = ask(b, n, "LogSoftmax", [b.value(n, 0)], axis=1)
    return _likelihood(b, n, log_prob), log_prob
