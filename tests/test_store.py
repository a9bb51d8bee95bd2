"""The .lil file: exact round trips, byte-identical saves, and files that appear whole or not at all."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lilliput import store
from lilliput.errors import UserError
from lilliput.evaluate import step_through
from lilliput.examples import cases, draw
from lilliput.graph import Graph, Tensor
from lilliput.ops.conv import Conv2d
from lilliput.ops.unary import Clamp
from small_graphs import RELU, SAME, Builder, int8, small_cnn


def same_tensor(a: Tensor, b: Tensor) -> bool:
    data = a.data is b.data or (
        a.data is not None
        and b.data is not None
        and a.data.dtype == b.data.dtype
        and a.data.shape == b.data.shape
        and a.data.tobytes() == b.data.tobytes()
    )
    quant = a.quant is b.quant or (a.quant is not None and a.quant.same(b.quant))
    return (a.name, a.shape, a.dtype) == (b.name, b.shape, b.dtype) and data and quant


def assert_same(a: Graph, b: Graph) -> None:
    assert (a.inputs, a.outputs, a.meta) == (b.inputs, b.outputs, b.meta)
    assert [(n.op, n.inputs, n.outputs, n.name) for n in a.nodes] == [
        (n.op, n.inputs, n.outputs, n.name) for n in b.nodes
    ]
    assert list(a.tensors) == list(b.tensors)
    assert all(same_tensor(t, b.tensors[name]) for name, t in a.tensors.items())
    assert [repr(n.op) for n in a.nodes] == [repr(n.op) for n in b.nodes], "types of attributes"


@pytest.mark.slow
def test_every_example_comes_back_equal_and_saves_to_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.lil", tmp_path / "b.lil"
    seen = 0
    for _, graph in cases():
        store.save(graph, first)
        back = store.load(first)
        assert_same(graph, back)
        store.save(back, second)
        assert first.read_bytes() == second.read_bytes()
        seen += 1
    assert seen > 400


def test_labels_and_preprocessing_travel_along(tmp_path: Path) -> None:
    graph = replace(small_cnn(), meta={"preprocess": {"mean": [0.5], "scale": 3}, "labels": ["a", 'ü"\n']})
    store.save(graph, tmp_path / "g.lil")
    assert store.load(tmp_path / "g.lil").meta == graph.meta


def test_infinite_bounds_survive(tmp_path: Path) -> None:
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 2), 3, op=Conv2d(padding=SAME, clamp=RELU))
    graph = b.graph(b.add(Clamp(float("-inf"), 1.0), x))
    store.save(graph, tmp_path / "g.lil")
    back = store.load(tmp_path / "g.lil")
    assert [n.op for n in back.nodes] == [Conv2d(padding=SAME, clamp=(0.0, np.inf)), Clamp(-np.inf, 1.0)]
    (feed,) = draw(graph, 0)
    assert np.array_equal(step_through(graph, feed)["y1"], step_through(back, feed)["y1"])


# --- writing ---


def test_a_model_too_large_for_a_file_is_refused_when_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LIMIT", 1000)
    with pytest.raises(UserError, match=r"more than a .lil file may hold"):
        store.save(small_cnn(), tmp_path / "g.lil")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "g.lil"
    store.save(small_cnn(), path)
    old = path.read_bytes()
    write_entry = store._entry

    def full(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
        if name == "2.bin":
            raise OSError(28, "No space left on device")
        write_entry(archive, name, content)

    monkeypatch.setattr(store, "_entry", full)
    with pytest.raises(UserError, match=r"cannot write .*: No space left on device"):
        store.save(int8(small_cnn()), path)
    assert [p.name for p in tmp_path.iterdir()] == ["g.lil"]
    assert path.read_bytes() == old


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_entry", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.save(small_cnn(), tmp_path / "g.lil")
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "no folder" / "g.lil", tmp_path / "file" / "g.lil"):
        with pytest.raises(UserError, match="cannot write"):
            store.save(small_cnn(), path)
    if os.geteuid() != 0:  # root may write anywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        with pytest.raises(UserError, match="cannot write"):
            store.save(small_cnn(), tmp_path / "locked" / "g.lil")
    assert sorted(p.name for p in tmp_path.iterdir()) in (["file"], ["file", "locked"])
