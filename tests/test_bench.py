"""Instructions, flash and RAM stay within 1 % of what the last `make bench` recorded in docs/bench.json.

A part of the record, the one that takes half a minute. Better figures pass: `make bench` records them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import pytest

from shared import ROOT, shared

sys.path.insert(0, str(ROOT / "scripts"))

from bench_layers import LAYERS, layer_row
from bench_models import FILES, MODES, VARIANTS, Cost, cost, loaded
from bench_record import ALLOWED, FIGURES, Key, Record, as_record, figures, read, worse

RECORDED = read().costs
MODELS = [(name, "cortex-m4", mode) for name in FILES for mode in ("speed", "size", "ram")]
MODELS += [("kws", "cortex-m0plus", "speed"), ("kws", "rv32imc", "speed"), ("vww", "cortex-m4", "rows")]
ZOO = [(name, "cortex-m4", "speed") for name in VARIANTS]
SHAPES = ("pointwise 12x12 64->64", "conv 3x3 8x8 16->16 /1", "depthwise 3x3 12x12 64 /1", "linear 64->64")
OTHERS = ("cortex-m0plus", "cortex-m3", "cortex-m7", "rv32imc", "pxa27x")


def lost(key: Key, found: Cost) -> Mapping[str, tuple[int, int]]:
    """The figures that grew by more than is allowed, as they are recorded and as they are now."""
    assert key in RECORDED, f"docs/bench.json has no {', '.join(key)}: run `make bench`"
    pairs = zip(FIGURES, RECORDED[key], figures(found), strict=True)
    return {figure: (old, new) for figure, old, new in pairs if new > old * ALLOWED}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "core", "mode"), MODELS)
def test_references_are_no_worse_than_recorded(model: str, core: str, mode: str) -> None:
    graph = loaded(shared("models", f"{FILES[model]}.tflite"))
    assert lost(("models", model, core, mode), cost(graph, core, **MODES[mode])) == {}


@pytest.mark.slow
@pytest.mark.parametrize(("model", "core", "mode"), ZOO)
def test_other_networks_are_no_worse_than_recorded(model: str, core: str, mode: str) -> None:
    """Weights drawn by another version of torch would be others, and so might the kernels be: a little is allowed."""
    assert lost(("models", model, core, mode), cost(VARIANTS[model].integer(), core, **MODES[mode])) == {}


@pytest.mark.slow
@pytest.mark.parametrize("core", OTHERS)
@pytest.mark.parametrize("label", SHAPES)
def test_layers_are_no_worse_than_recorded(label: str, core: str) -> None:
    assert lost(("layers", label, core, "zig"), layer_row(label, core).cost) == {}


@pytest.mark.cross
@pytest.mark.parametrize("label", SHAPES)
def test_vector_layers_are_no_worse_than_recorded(label: str) -> None:
    assert lost(("layers", label, "cortex-m55", "zig"), layer_row(label, "cortex-m55").cost) == {}


def test_what_is_checked_is_recorded() -> None:
    wanted = {("models", *case) for case in (*MODELS, *ZOO)}
    wanted |= {("layers", label, core, "zig") for label in SHAPES for core in (*OTHERS, "cortex-m55")}
    assert wanted - set(RECORDED) == set()
    assert set(SHAPES) <= set(LAYERS)


def test_a_figure_may_grow_by_one_percent() -> None:
    key = ("models", "kws", "cortex-m4", "speed")
    old = Record({key: (1000, 200, 100)})
    assert list(worse(Record({key: (1010, 202, 101)}), old)) == []
    assert list(worse(Record({key: (1011, 100, 102)}), old)) == [
        ("kws, cortex-m4, speed: instructions", "1,000", "1,011"),
        ("kws, cortex-m4, speed: ram", "100", "102"),
    ]
    assert list(worse(Record({("models", "new", "cortex-m4", "speed"): (1, 1, 1)}), old)) == []


def test_a_record_is_read_as_it_was_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("bench_record.RECORD", tmp_path / "bench.json")
    record = Record(
        {("models", "kws", "m4", "speed"): (1, 2, 3), ("layers", "linear", "m4", "gcc"): (4, 5, 6)}
    )
    (tmp_path / "bench.json").write_text(record.text())
    assert read() == record
    newer = Record({("models", "kws", "m7", "speed"): (7, 8, 9)})
    assert newer.beside(record, ["m7"]).costs == {**record.costs, **newer.costs}
    assert newer.beside(record, ["m4", "m7"]) == newer
    assert as_record([], []).costs == {}
