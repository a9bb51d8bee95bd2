"""Hostile .skops files: estimators that scikit-learn would not leave behind, and zips that are none."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from lilliput.errors import GraphError, UserError
from lilliput.loading import load

X = np.random.default_rng(0).normal(size=(60, 3))
Y = np.arange(60) % 2


def tree(change: Callable[[Any], None]) -> Callable[[], Any]:
    """A tree whose nodes were changed behind scikit-learn's back."""

    def make() -> Any:
        model = DecisionTreeClassifier(max_depth=4).fit(X, Y)
        state = model.tree_.__getstate__()
        nodes = state["nodes"].copy()
        change(nodes)
        model.tree_.__setstate__({**state, "nodes": nodes})
        return model

    return make


def without(estimator: Any, name: str) -> Callable[[], Any]:
    def make() -> Any:
        model = estimator.fit(X, Y)
        delattr(model, name)
        return model

    return make


def with_(estimator: Any, name: str, value: object) -> Callable[[], Any]:
    def make() -> Any:
        model = estimator.fit(X, Y)
        setattr(model, name, value)
        return model

    return make


def node(field: str, value: float) -> Callable[[Any], None]:
    return lambda nodes: nodes[field].__setitem__(0, value)


def circle(nodes: Any) -> None:
    nodes["left_child"][nodes["left_child"] > 0] = 0


MODELS: dict[str, tuple[Callable[[], Any], str]] = {
    "tree with a cycle": (tree(circle), "a tree's nodes form a cycle"),
    "root that is its own child": (tree(node("left_child", 0)), "a tree's nodes form a cycle"),
    "two with one child": (
        tree(lambda nodes: nodes["right_child"].__setitem__(slice(None), nodes["left_child"])),
        "two parents",
    ),
    "child outside": (tree(node("left_child", 10**6)), "DecisionTreeClassifier in the file is not as"),
    "feature outside": (tree(node("feature", 99)), "a feature outside 0..2"),
    "NaN threshold": (tree(node("threshold", np.nan)), "a threshold is NaN"),
    "attribute missing": (without(SVC(), "degree"), "the SVC in the file is not as scikit-learn leaves it"),
    "weights missing": (without(LogisticRegression(), "coef_"), "LogisticRegression"),
    "weights of another kind": (with_(LogisticRegression(), "coef_", "many"), "LogisticRegression"),
    "weights of another shape": (with_(LogisticRegression(), "coef_", np.zeros((7, 2, 2))), "LogisticRegression"),
    "NaN weights": (with_(LogisticRegression(), "coef_", np.full((1, 3), np.nan)), "is NaN, infinite"),
    "zero scale": (with_(StandardScaler(), "scale_", np.zeros(3)), "StandardScaler"),
    "unknown kernel": (with_(SVC(), "kernel", "evil"), "SVC"),
    "not fitted": (lambda: LogisticRegression(), "not fitted|n_features"),
    "no estimator": (lambda: {"a": 1}, "dict"),
}  # fmt: skip


def refused(path: Path, words: str) -> None:
    start = time.process_time()
    with pytest.raises((UserError, GraphError), match=words):
        load(path)
    assert time.process_time() - start < 5  # scikit-learn may have to be imported


@pytest.mark.parametrize("name", MODELS)
def test_estimators_nobody_fitted(name: str, tmp_path: Path) -> None:
    make, words = MODELS[name]
    path = tmp_path / "m.skops"
    skops.io.dump(make(), path)
    refused(path, words)


def repacked(data: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """The file with a change of its schema."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "schema.json":
                schema = json.loads(content)
                change(schema)
                content = json.dumps(schema).encode()
            new.writestr(name, content)
    return out.getvalue()


def test_compiled_classes_are_not_set_up(tmp_path: Path) -> None:
    """Their `__setstate__` believes what it gets: with other arrays it reads anywhere and the process dies."""
    path = tmp_path / "m.skops"
    good = skops.io.dumps(KNeighborsClassifier().fit(X, Y))

    def search_tree(schema: dict[str, Any]) -> dict[str, Any]:
        return schema["content"]["content"]["_tree"]  # type: ignore[no-any-return]

    path.write_bytes(repacked(good, lambda s: search_tree(s)["content"]["content"].reverse()))
    assert load(path).nodes
    other = {"__class__": "Tree", "__module__": "sklearn.tree._tree"}
    path.write_bytes(repacked(good, lambda s: search_tree(s).update(other)))
    refused(path, "sets up sklearn.tree._tree.Tree, a compiled class, without its constructor")


def test_zips(tmp_path: Path) -> None:
    good = skops.io.dumps(StandardScaler().fit(X))
    path = tmp_path / "m.skops"
    version = bytearray(good)
    version[version.index(b"PK\x01\x02") + 6] = 229
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("schema.json", b" " * (257 << 20))
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        schema = archive.read("schema.json")
    for data, words in (
        (bytes(version), "zip file version 22.9"),
        (bomb.getvalue(), "expected at most 20000 of 268435456 bytes"),
        (good[:100], "not a .skops file"),
        (good.replace(schema[:20], b"\xff" * 20), "not a .skops file: Bad CRC-32"),
        (repacked(good, lambda s: s.clear()), "not a readable .skops file"),
        (b"\x80\x04\x95\x1f", "not a .skops file"),
    ):
        path.write_bytes(data)
        refused(path, words)
