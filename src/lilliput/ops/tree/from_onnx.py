"""ai.onnx.ml's tree ensembles: TreeEnsembleClassifier and TreeEnsembleRegressor (to version 3), TreeEnsemble (5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.builder import Value
from lilliput.importers.onnx import OnnxBuilder
from lilliput.importers.onnx_reader import OnnxNode
from lilliput.importers.registry import onnx
from lilliput.ops.index import Gather
from lilliput.ops.softmax import Softmax
from lilliput.ops.tree.build import Tree, assemble
from lilliput.ops.tree.ensemble import Result
from lilliput.ops.unary import Sigmoid

# x <= v goes to the true branch; the others are that with `strict` or with the branches exchanged.
MODES = {
    "BRANCH_LEQ": (False, False),
    "BRANCH_LT": (True, False),
    "BRANCH_GT": (False, True),
    "BRANCH_GTE": (True, True),
}
"""Mode -> (the comparison with the lower side is <, the true branch is the upper side)."""
MODES_5 = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")


def _numbers(n: OnnxNode, name: str, dtype: str = "int64") -> Array:
    """An attribute of numbers, also where the file has it as a tensor of doubles."""
    found = n.attr(f"{name}_as_tensor")
    return np.asarray(n.attr(name, ()) if found is None else found, dtype).reshape(-1)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _mode(n: OnnxNode, modes: set[str]) -> tuple[bool, bool]:
    """The one comparison of an ensemble; a file that mixes them is none that an exporter writes."""
    if len(modes) > 1 or not modes <= MODES.keys():
        raise UserError(
            f"{n.where}: nodes compare with {', '.join(sorted(modes))}; expected one of {', '.join(MODES)} for all"
        )
    return MODES[modes.pop()] if modes else (False, False)


def _check_lengths(n: OnnxNode, arrays: Mapping[str, Sequence[Any] | Array]) -> None:
    lengths = {name: len(a) for name, a in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise UserError(f"{n.where}: attributes of different lengths: {lengths}")


def _trees(n: OnnxNode, leaf: str, columns: int) -> tuple[list[Tree], bool]:
    """The trees of the older operators, their leaves' weights one row of `columns`; whether NaN has directions."""
    ids = _numbers(n, "nodes_treeids")
    names = ("nodes_nodeids", "nodes_featureids", "nodes_truenodeids", "nodes_falsenodeids")
    number, feature, true, false = (_numbers(n, name) for name in names)
    values = _numbers(n, "nodes_values", "float64")
    modes = [_text(m) for m in n.attr("nodes_modes", ())]
    nan_true = _numbers(n, "nodes_missing_value_tracks_true")
    nan_true = nan_true if len(nan_true) else np.zeros(len(ids), np.int64)
    weights = [_numbers(n, f"{leaf}_{part}") for part in ("treeids", "nodeids", "ids")]
    weight = _numbers(n, f"{leaf}_weights", "float64")
    _check_lengths(n, dict(zip(("nodes_treeids", *names), (ids, number, feature, true, false), strict=True)))
    _check_lengths(n, {"nodes_treeids": ids, "values": values, "modes": modes, "missing": nan_true})
    _check_lengths(n, {"weights": weight, **dict(zip(("treeids", "nodeids", "ids"), weights, strict=True))})
    strict, upper = _mode(n, set(modes) - {"LEAF"})
    at = {(int(t), int(i)): row for row, (t, i) in enumerate(zip(ids, number, strict=True))}
    table = np.zeros((len(ids), columns))
    for t, i, column, w in zip(*weights, weight, strict=True):
        if (int(t), int(i)) not in at or not 0 <= column < columns:
            raise UserError(
                f"{n.where}: a weight of node {i} of tree {t} for result {column}, which do not exist"
            )
        table[at[int(t), int(i)], column] += w
    inner = np.array([m != "LEAF" for m in modes], bool)
    trees = []
    for t in dict.fromkeys(ids.tolist()):
        rows = np.flatnonzero(ids == t)
        local = {int(i): k for k, i in enumerate(number[rows])}
        sides = [
            np.array(
                [
                    local.get(int(c), len(rows)) if branch else -1
                    for c, branch in zip(s, inner[rows], strict=True)
                ]
            )
            for s in (true[rows], false[rows])
        ]
        if len(local) != len(rows) or any((s >= len(rows)).any() for s in sides):
            raise UserError(f"{n.where}: tree {t} has two nodes of one number, or a branch to one it lacks")
        left, right = reversed(sides) if upper else sides
        nan_left = nan_true[rows] != 0
        trees.append(
            Tree(
                feature[rows],
                values[rows],
                left,
                right,
                table[rows],
                strict=strict,
                nan_left=nan_left != upper,
            )
        )
    return trees, bool(nan_true[inner].any())


def _add(
    b: OnnxBuilder,
    n: OnnxNode,
    trees: list[Tree],
    base: Array,
    result: Result,
    *,
    missing: bool,
) -> tuple[Value, ...]:
    x = b.value(n, 0)
    if b.tensor(x).dtype != "float32" or len(b.shape(x)) != 2 or b.shape(x)[0] != 1:
        raise UserError(
            f"{n.where}: x is {b.tensor(x).dtype}{list(b.shape(x))}, expected float32 [1, features]"
        )
    op, *constants = assemble(trees, base, result=result, missing=missing)
    return b.add_many(op, [b.logical(x), *(b.constant(c) for c in constants)])


def _base(n: OnnxNode, columns: int) -> Array:
    given = _numbers(n, "base_values", "float64")
    if len(given) not in (0, 1, columns):
        raise UserError(f"{n.where}: {len(given)} base_values for {columns} results")
    return np.broadcast_to(given, (columns,)).copy() if len(given) else np.zeros(columns)


def _transformed(b: OnnxBuilder, n: OnnxNode, scores: Value) -> Value:
    kind = _text(n.attr("post_transform", "NONE"))
    if kind == "NONE":
        return scores
    if kind not in ("LOGISTIC", "SOFTMAX"):
        raise UserError(
            f"{n.where}: post_transform {kind} is not supported, expected NONE, LOGISTIC or SOFTMAX"
        )
    return b.add(Sigmoid() if kind == "LOGISTIC" else Softmax(), [scores])


@onnx("ai.onnx.ml:TreeEnsembleRegressor")
def regressor(b: OnnxBuilder, n: OnnxNode) -> Value:
    columns = int(n.attr("n_targets", 1))
    trees, missing = _trees(n, "target", columns)
    how = _text(n.attr("aggregate_function", "SUM"))
    if how not in ("SUM", "AVERAGE"):
        raise UserError(f"{n.where}: aggregate_function {how} is not supported, expected SUM or AVERAGE")
    if how == "AVERAGE":
        trees = [_scaled(t, 1 / len(trees)) for t in trees]
    (y,) = _add(b, n, trees, _base(n, columns), "float32", missing=missing)
    return _transformed(b, n, y)


def _scaled(t: Tree, by: float | Array) -> Tree:
    return Tree(t.feature, t.threshold, t.left, t.right, t.values * by, t.column, t.strict, t.nan_left)


@onnx("ai.onnx.ml:TreeEnsembleClassifier")
def classifier(b: OnnxBuilder, n: OnnxNode) -> tuple[Value, ...]:
    numbers = n.attr("classlabels_int64s") or ()
    classes = len(numbers) or len(n.attr("classlabels_strings") or ())
    if classes < 2:
        raise UserError(f"{n.where}: {classes} class labels, expected at least 2")
    trees, missing = _trees(n, "class", classes)
    base, kind = _base(n, classes), _text(n.attr("post_transform", "NONE"))
    if classes == 2 and len(np.unique(_numbers(n, "class_ids"))) == 1:
        label, scores = _one_score(b, n, trees, kind, missing)
    else:
        label, sums = _add(b, n, trees, base, "both", missing=missing)
        scores = _transformed(b, n, sums)
    if numbers:
        label = b.add(Gather(0), [b.constant(np.asarray(numbers, np.int64)), label], (0,))
    return label, scores


def _one_score(
    b: OnnxBuilder, n: OnnxNode, trees: list[Tree], kind: str, missing: bool
) -> tuple[Value, Value]:
    """Two classes of which only one has weights: its score s stands for both, as ONNX Runtime does it.

    With weights of both signs (0, s) decide and the scores are (-s, s); with positive ones (1 - s, s). LOGISTIC
    gives the logistic function of s and of its opposite.
    """
    given = _numbers(n, "base_values", "float64")
    start = float(given[-1]) if len(given) else 0.0
    column = int(_numbers(n, "class_ids")[0])
    own = [_scaled(t, 1.0) for t in trees]
    values = [t.values[:, column] for t in own]
    positive = all((v >= 0).all() for v in values)
    if kind == "LOGISTIC":
        if positive and start >= 0:
            raise UserError(
                f"{n.where}: LOGISTIC over weights that are all positive has no one meaning; export with both classes"
            )
        pairs = [
            Tree(t.feature, t.threshold, t.left, t.right, v[:, None], 1, t.strict, t.nan_left)
            for t, v in zip(own, values, strict=True)
        ]
        label, sums = _add(b, n, pairs, np.array([0.0, start]), "both", missing=missing)
        return label, b.add(Softmax(), [sums])  # of (0, s): the logistic function of -s and of s
    if kind != "NONE":
        raise UserError(
            f"{n.where}: post_transform {kind} of one score for two classes; expected NONE or LOGISTIC"
        )
    pairs = [
        Tree(t.feature, t.threshold, t.left, t.right, np.stack([-v, v], 1), 0, t.strict, t.nan_left)
        for t, v in zip(own, values, strict=True)
    ]
    base = np.array([(1.0 if positive else 0.0) - start, start])
    label, sums = _add(b, n, pairs, base, "both", missing=missing)
    return label, sums


@onnx("ai.onnx.ml:TreeEnsemble")
def ensemble(b: OnnxBuilder, n: OnnxNode) -> Value:
    """Version 5: nodes of all trees in one list, leaves in another, referred to by position."""
    feature, true, true_leaf, false, false_leaf = (
        _numbers(n, f"nodes_{name}")
        for name in ("featureids", "truenodeids", "trueleafs", "falsenodeids", "falseleafs")
    )
    splits, modes = (
        np.asarray(n.attr(f"nodes_{name}"), kind).reshape(-1)
        for name, kind in (("splits", "f8"), ("modes", "i8"))
    )
    nan_true = _numbers(n, "nodes_missing_value_tracks_true")
    nan_true = nan_true if len(nan_true) else np.zeros(len(feature), np.int64)
    target, weight = _numbers(n, "leaf_targetids"), np.asarray(n.attr("leaf_weights"), "f8").reshape(-1)
    _check_lengths(n, {"features": feature, "true": true, "true leafs": true_leaf, "false": false,
                       "false leafs": false_leaf, "splits": splits, "modes": modes, "missing": nan_true})  # fmt: skip
    _check_lengths(n, {"targets": target, "weights": weight})
    columns = int(n.attr("n_targets", 1))
    if (target < 0).any() or (target >= columns).any() or ((modes < 0) | (modes >= len(MODES_5))).any():
        raise UserError(f"{n.where}: a leaf's target is not one of {columns}, or a mode is unknown")
    strict, upper = _mode(n, {MODES_5[m] for m in modes})
    trees = []
    for root in _numbers(n, "tree_roots").tolist():
        trees.append(
            _tree_5(
                n,
                root,
                (feature, splits, true, true_leaf, false, false_leaf, nan_true),
                target,
                weight,
                columns,
                strict,
                upper,
            )
        )
    how = int(n.attr("aggregate_function", 1))
    if how not in (0, 1):
        raise UserError(
            f"{n.where}: aggregate_function {how} is not supported, expected 0 (AVERAGE) or 1 (SUM)"
        )
    if how == 0:
        trees = [_scaled(t, 1 / len(trees)) for t in trees]
    (y,) = _add(b, n, trees, np.zeros(columns), "float32", missing=bool(nan_true.any()))
    post = int(n.attr("post_transform", 0))
    if post not in (0, 1, 2):
        raise UserError(f"{n.where}: post_transform {post} is not supported, expected 0, 1 or 2")
    return y if post == 0 else b.add(Softmax() if post == 1 else Sigmoid(), [y])


def _tree_5(
    n: OnnxNode,
    root: int,
    nodes: Sequence[Array],
    target: Array,
    weight: Array,
    columns: int,
    strict: bool,
    upper: bool,
) -> Tree:
    feature, splits, true, true_leaf, false, false_leaf, nan_true = nodes
    rows: list[tuple[int, float, int, int, bool]] = []
    values: list[Array] = []
    todo: list[tuple[int, bool, int, int]] = [(root, False, -1, 0)]
    children: list[list[int]] = []
    while todo:
        i, leaf, parent, side = todo.pop()
        if not 0 <= i < len(target if leaf else feature) or len(rows) > 2 * len(feature) + 1:
            raise UserError(f"{n.where}: a branch leads to {'leaf' if leaf else 'node'} {i}, or in a circle")
        if parent >= 0:
            children[parent][side] = len(rows)
        row = np.zeros(columns)
        me = len(rows)
        if leaf:
            row[target[i]] = weight[i]
        else:
            todo += [(int(false[i]), bool(false_leaf[i]), me, 1), (int(true[i]), bool(true_leaf[i]), me, 0)]
        rows.append(
            (0, 0.0, 0, 0, False) if leaf else (int(feature[i]), float(splits[i]), 0, 0, bool(nan_true[i]))
        )
        children.append([-1, -1])
        values.append(row)
    sides = np.array(children).T
    left, right = (sides[1], sides[0]) if upper else (sides[0], sides[1])
    nan_left = np.array([r[4] for r in rows]) != upper
    return Tree(
        np.array([r[0] for r in rows]),
        np.array([r[1] for r in rows]),
        left,
        right,
        np.stack(values),
        strict=strict,
        nan_left=nan_left,
    )
