"""How ONNX's operators on features (ai.onnx.ml) become ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.registry import onnx
from lilliput.ops.binary import Mul
from lilliput.ops.choice.where import Where
from lilliput.ops.extremum import Maximum
from lilliput.ops.features.scaler import Scaler
from lilliput.ops.index import Gather
from lilliput.ops.logic.compare import Equal, Less
from lilliput.ops.norm import LpNorm
from lilliput.ops.reduce import ReduceMax
from lilliput.ops.shape import Concat, Reshape
from lilliput.ops.unary.elementary import Abs, Reciprocal
from lilliput.ops.unary.types import Cast, IsNan

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode

LEAST = 1e-30
"""Where a norm is zero; its numbers are zero then."""


def _per_feature(n: OnnxNode, name: str, default: float, features: int) -> Array:
    found = n.attr(name)
    values = np.asarray([default] if found is None else found, np.float32).reshape(-1)
    if len(values) not in (1, features):
        raise UserError(f"{n.where}: {name} has {len(values)} numbers for {features} features")
    return np.broadcast_to(values, features).copy()


@onnx("ai.onnx.ml:Scaler")
def scaler(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.logical(b.value(n, 0))
    features = b.shape(x)[-1]
    constants = (_per_feature(n, "offset", 0.0, features), _per_feature(n, "scale", 1.0, features))
    return b.add(Scaler(), [x, *(b.constant(c) for c in constants)])


@onnx("ai.onnx.ml:Normalizer")
def normalizer(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, norm = b.logical(b.value(n, 0)), str(n.attr("norm", "MAX"))
    rank = len(x.order)
    if norm in ("L1", "L2"):
        return b.add(LpNorm(1 if norm == "L1" else 2, -1, LEAST), [x])
    if norm != "MAX":
        raise UserError(f"{n.where}: norm '{norm}', expected MAX, L1 or L2")
    largest = b.add(ReduceMax((rank - 1,), True), [b.add(Abs(), [x])])
    size = b.add(Maximum(), [largest, b.constant(np.full((1,) * rank, LEAST, np.float32))])
    return b.add(Mul(), [x, b.add(Reciprocal(), [size])])


@onnx("ai.onnx.ml:FeatureVectorizer")
def feature_vectorizer(b: OnnxBuilder, n: OnnxNode) -> Value:
    parts = []
    for v in b.inputs(n):
        shape = b.shape(v)
        parts.append(b.add(Reshape((shape[0], math.prod(shape[1:]))), [b.logical(v)], (0, 1)))
    return parts[0] if len(parts) == 1 else b.add(Concat(1), parts)


@onnx("ai.onnx.ml:ArrayFeatureExtractor")
def array_feature_extractor(b: OnnxBuilder, n: OnnxNode) -> Value:
    """Elements along the last dimension: of a row of classes by a computed index, or features by known ones."""
    x, chosen = b.logical(b.value(n, 0)), b.logical(b.value(n, 1))
    known = b.numbers(chosen)
    shape = b.shape(x)
    if known is not None:
        indices = b.constant(known.reshape(-1).astype(np.int32))
        rows = x if len(shape) > 1 else b.add(Reshape((1, shape[0])), [x], (0, 1))
        return b.add(Gather(len(b.shape(rows)) - 1), [rows, indices], rows.order)
    flat = b.add(Reshape((math.prod(b.shape(chosen)),)), [chosen], (0,))
    table = b.numbers(x)
    if table is None:
        rows = x if len(shape) > 1 else b.add(Reshape((1, shape[0])), [x], (0, 1))
        return b.add(Gather(len(b.shape(rows)) - 1), [rows, flat], rows.order)
    if table.size != shape[-1]:
        raise UserError(f"{n.where}: a constant of shape {shape} with computed indices; expected one row")
    row = b.constant(table.reshape(-1))
    taken = b.add(Gather(0), [row, flat], (0,))
    return b.add(Reshape((1, b.shape(flat)[0])), [taken], (0, 1))


@onnx("ai.onnx.ml:Imputer")
def imputer(b: OnnxBuilder, n: OnnxNode) -> Value:
    """Features that are missing (NaN, or one number that stands for it) get a number of their own."""
    x = b.logical(b.value(n, 0))
    if b.tensor(x).dtype != "float32" or n.attr("imputed_value_floats") is None:
        raise UserError(f"{n.where}: only real features are supported, found {b.tensor(x).dtype}")
    shape = (*(1 for _ in x.order[1:]), b.shape(x)[-1])
    given = _per_feature(n, "imputed_value_floats", 0.0, shape[-1]).reshape(shape)
    missing = np.float32(n.attr("replaced_value_float", 0.0))
    if np.isnan(missing):
        condition = b.add(IsNan(), [x])
    else:
        condition = b.add(Equal(), [x, b.constant(np.full((1,) * len(shape), missing, np.float32))])
    return b.add(Where(), [condition, b.constant(given), x])


@onnx("ai.onnx.ml:Binarizer")
def binarizer(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.logical(b.value(n, 0))
    threshold = np.full((1,) * len(x.order), n.attr("threshold", 0.0), b.tensor(x).dtype)
    above = b.add(Less(), [b.constant(threshold), x], x.order)
    return b.add(Cast(b.tensor(x).dtype), [above])


@onnx("ai.onnx.ml:OneHotEncoder")
def one_hot_encoder(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.logical(b.value(n, 0))
    categories = n.attr("cats_int64s")
    if categories is None:
        raise UserError(f"{n.where}: text has no place on a device; encode categories as whole numbers")
    shape = b.shape(x)
    wide = b.add(Reshape((*shape, 1)), [x], tuple(range(len(shape) + 1)))
    known = np.asarray(categories, b.tensor(x).dtype).reshape((1,) * len(shape) + (-1,))
    return b.add(Cast("float32"), [b.add(Equal(), [wide, b.constant(known)], wide.order)])


MOST_KEYS = 64
"""A label encoder asks for one key after the other."""


@onnx("ai.onnx.ml:LabelEncoder")
def label_encoder(b: OnnxBuilder, n: OnnxNode) -> Value:
    x = b.logical(b.value(n, 0))
    keys, values = (
        next((n.attr(f"{what}_{kind}") for kind in ("int64s", "floats") if n.attr(f"{what}_{kind}")), None)
        for what in ("keys", "values")
    )
    if keys is None or values is None or len(keys) != len(values) or len(keys) > MOST_KEYS:
        raise UserError(
            f"{n.where}: expected at most {MOST_KEYS} numbers as keys and as many as values; text is not"
        )
    whole = bool(n.attr("values_int64s"))
    dtype, default = (
        ("int64", n.attr("default_int64", -1)) if whole else ("float32", n.attr("default_float", 0.0))
    )
    ones = (1,) * len(x.order)
    y = b.constant(np.full(ones, default, dtype))
    for key, value in zip(keys, values, strict=True):
        found = b.add(Equal(), [x, b.constant(np.full(ones, key, b.tensor(x).dtype))])
        y = b.add(Where(), [found, b.constant(np.full(ones, value, dtype)), y], x.order)
    return y


@onnx("ai.onnx.ml:ZipMap")
def zip_map(b: OnnxBuilder, n: OnnxNode) -> Value:
    """A map from classes to scores is not for a device: the scores in the order of the classes."""
    return b.value(n, 0)
