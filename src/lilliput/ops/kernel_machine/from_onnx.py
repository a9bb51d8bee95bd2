"""How ONNX's linear models and support vector machines (ai.onnx.ml) become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.registry import onnx
from lilliput.ops.conv import Linear
from lilliput.ops.index import Gather
from lilliput.ops.kernel_machine.machine import Function, KernelMachine
from lilliput.ops.kernel_machine.vote import PairwiseVote
from lilliput.ops.reduce import ArgMax
from lilliput.ops.softmax import Softmax
from lilliput.ops.unary import Sigmoid

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode


def _reals(n: OnnxNode, name: str) -> Array:
    found = n.attr(name)
    return np.zeros(0) if found is None else np.asarray(found, np.float64).reshape(-1)


def _features(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.logical(b.value(n, 0))
    shape = b.shape(x)
    if len(shape) != 2 or shape[0] != 1:
        raise UserError(f"{n.where}: the input has shape {shape}, expected (1, features)")
    if b.tensor(x).dtype != "float32":
        raise UserError(
            f"{n.where}: the features are {b.tensor(x).dtype}, expected float32; cast them in the model"
        )
    return x


def _rows(n: OnnxNode, values: Array, width: int, what: str) -> Array:
    if width < 1 or len(values) == 0 or len(values) % width:
        raise UserError(f"{n.where}: {len(values)} {what} for rows of {width}")
    return values.reshape(-1, width)


def _linear(b: OnnxBuilder, x: Value, weights: Array, bias: Array) -> Value:
    bias = np.zeros(len(weights)) if len(bias) == 0 else np.broadcast_to(bias, len(weights))
    constants = [b.constant(np.asarray(c, np.float32)) for c in (weights, bias)]
    return b.add(Linear(), [x, *constants])


def _transformed(b: OnnxBuilder, n: OnnxNode, scores: Value) -> Value:
    kind = str(n.attr("post_transform", "NONE"))
    if kind == "NONE":
        return scores
    if kind not in ("LOGISTIC", "SOFTMAX"):
        raise UserError(
            f"{n.where}: post_transform '{kind}' is not supported, expected NONE, LOGISTIC or SOFTMAX"
        )
    return b.add(Sigmoid() if kind == "LOGISTIC" else Softmax(), [scores])


def _classes(n: OnnxNode) -> int:
    return max(
        len(n.attr("classlabels_ints") or ()),
        len(n.attr("classlabels_strings") or n.attr("classlabels") or ()),
    )


def _label(b: OnnxBuilder, n: OnnxNode, index: Value) -> Value:
    """The class of an index [1]; strings do not exist on the device, their index stands for them."""
    numbers = n.attr("classlabels_ints")
    if not numbers:
        return index
    return b.add(Gather(0), [b.constant(np.asarray(numbers, np.int64)), index], (0,))


@onnx("ai.onnx.ml:LinearClassifier")
def linear_classifier(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, ...]:
    x, classes = _features(b, n), _classes(n)
    weights = _rows(n, _reals(n, "coefficients"), b.shape(x)[1], "coefficients")
    bias = _reals(n, "intercepts")
    if len(weights) == 1 and classes == 2:  # ONNX: the first class has the opposite of the second one's score
        weights, bias = weights * [[-1], [1]], np.concatenate([-bias, bias])
    if len(weights) != classes or classes < 2:
        raise UserError(f"{n.where}: {len(weights)} rows of coefficients for {classes} classes")
    scores = _linear(b, x, weights, bias)
    return _label(b, n, b.add(ArgMax(1), [scores], (0,))), _transformed(b, n, scores)


@onnx("ai.onnx.ml:LinearRegressor")
def linear_regressor(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = _features(b, n)
    weights = _rows(n, _reals(n, "coefficients"), b.shape(x)[1], "coefficients")
    return _transformed(b, n, _linear(b, x, weights, _reals(n, "intercepts")))


FUNCTIONS: dict[str, Function] = {"LINEAR": "linear", "POLY": "poly", "RBF": "rbf", "SIGMOID": "sigmoid"}


def _machine(b: OnnxBuilder, n: OnnxNode, x: Value, counts: tuple[int, ...], sign: float) -> Value:
    """The decisions, or with sign -1 their opposites."""
    kind = str(n.attr("kernel_type", "LINEAR"))
    if kind not in FUNCTIONS:
        raise UserError(f"{n.where}: kernel_type '{kind}', expected one of {', '.join(FUNCTIONS)}")
    parameters = [*_reals(n, "kernel_params"), 0.0, 0.0, 0.0][:3]
    vectors = _rows(n, _reals(n, "support_vectors"), b.shape(x)[1], "numbers of support vectors")
    coefficients = _rows(n, _reals(n, "coefficients"), sum(counts), "coefficients").T * sign
    constants = [np.asarray(c, np.float32) for c in (vectors, coefficients, _reals(n, "rho") * sign)]
    op = KernelMachine(
        FUNCTIONS[kind], counts, float(parameters[0]), float(parameters[1]), int(parameters[2])
    )
    return b.add(op, [x, *(b.constant(c) for c in constants)])


@onnx("ai.onnx.ml:SVMClassifier")
def svm_classifier(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, ...]:
    x, classes = _features(b, n), _classes(n)
    counts = tuple(int(c) for c in n.attr("vectors_per_class") or ())
    if sum(counts) == 0 or len(counts) != classes or classes < 2:
        raise UserError(
            f"{n.where}: support vectors {counts} of {classes} classes; a machine without any is a LinearClassifier"
        )
    platt = [_reals(n, name) for name in ("prob_a", "prob_b")]
    if classes > 2:
        if len(platt[0]):
            raise UserError(
                f"{n.where}: probabilities of {classes} classes are not supported; export it without them"
            )
        scores = _machine(b, n, x, counts, 1.0)
        return _label(b, n, b.add(PairwiseVote(classes), [scores], (0,))), _transformed(b, n, scores)
    opposite = _machine(b, n, x, counts, -1.0)  # positive for the second class
    label = _label(b, n, b.add(PairwiseVote(2), [opposite], (0,)))
    if len(platt[0]) == 0:
        return label, _transformed(b, n, _linear(b, opposite, np.array([[1.0], [-1.0]]), np.zeros(0)))
    first = b.add(Sigmoid(), [_linear(b, opposite, np.array([[platt[0][0]]]), -platt[1])])
    return label, _linear(b, first, np.array([[1.0], [-1.0]]), np.array([0.0, 1.0]))


@onnx("ai.onnx.ml:SVMRegressor")
def svm_regressor(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = _features(b, n)
    if n.attr("one_class", 0):
        raise UserError(f"{n.where}: one_class is not supported; load the estimator itself, or a .skops file")
    if str(n.attr("post_transform", "NONE")) != "NONE":
        raise UserError(
            f"{n.where}: post_transform '{n.attr('post_transform')}' is not supported, expected NONE"
        )
    supports = int(n.attr("n_supports", 0))
    if supports == 0:
        weights = _rows(n, _reals(n, "coefficients"), b.shape(x)[1], "coefficients")
        return _linear(b, x, weights, _reals(n, "rho"))
    return _machine(b, n, x, (supports,), 1.0)
