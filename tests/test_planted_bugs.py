"""Bugs planted on purpose, as small as real ones: the comparisons must find them, or they prove nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from lilliput import fixed
from lilliput.emit import emit
from lilliput.evaluate import all_tensors, step_through
from lilliput.examples import draw
from lilliput.graph import Array, Graph
from lilliput.host import HostModel, build_library, value_at
from lilliput.importers.tflite import load_tflite
from lilliput.op import Pick, fastest, simplest
from lilliput.ops.conv import common
from lilliput.plan import plan
from shared import shared
from small_graphs import int8, small_cnn
from tflm import Tflm

# --- in the numpy reference, found by TFLM ---


MODELS = {"kws": "kws_ref_model.tflite", "ic": "pretrainedResnet_quant.tflite"}
"""kws has a ReLU behind nearly every layer, so negative halves never show; the residual network has them."""


@cache
def reference(model: str) -> tuple[Graph, Array, dict[str, Array]]:
    """A reference model, one input, and TFLM's value of every tensor."""
    content = shared("models", MODELS[model]).read_bytes()
    x = np.load(shared("refs", f"{model}.npz"))["x"][:1]
    return load_tflite(content), x, {f"t{i}": value for i, value in Tflm(content).run(x).items()}


def first_difference(model: str) -> str | None:
    """The first layer at which numpy leaves TFLM."""
    graph, x, expected = reference(model)
    ours = all_tensors(graph, x)
    for node in graph.nodes:
        for name in node.outputs:
            if name in expected and not np.array_equal(expected[name].reshape(-1), ours[name].reshape(-1)):
                return node.name
    return None


def halves_up(x: Any, n: Any) -> Array:
    """rounding_shift without the exception for negative halves."""
    x, n = np.asarray(x, np.int64), np.asarray(n, np.int64)
    mask = (np.int64(1) << n) - 1
    return np.asarray((x >> n) + ((x & mask) > (mask >> 1)))


def plant_rounding(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fixed, "rounding_shift", halves_up)


def plant_padding(patch: pytest.MonkeyPatch) -> None:
    """The border holds the integer 0, not the zero point of -128 that ReLU gives: x - z is 128 there."""
    windows = common.windows

    def wrong(x: Array, op: common.Windowed, kernel: common.Pair, pad_value: float) -> Array:
        return windows(x, op, kernel, pad_value + 128)

    patch.setattr(common, "windows", wrong)


def plant_zero_point(patch: pytest.MonkeyPatch) -> None:
    finish = fixed.finish

    def wrong(acc: Array, m: Any, shift: Any, zero_point: int, bounds: tuple[int, int], dtype: str) -> Array:
        return finish(acc, m, shift, zero_point + 1, bounds, dtype)

    patch.setattr(fixed, "finish", wrong)


@pytest.mark.parametrize("model", MODELS)
def test_without_a_bug_numpy_equals_tflm(model: str) -> None:
    assert first_difference(model) is None


@pytest.mark.parametrize(
    ("plant", "model"),
    [
        (plant_rounding, "ic"),
        (plant_padding, "ic"),
        (plant_padding, "kws"),
        (plant_zero_point, "ic"),
        (plant_zero_point, "kws"),
    ],
)
def test_tflm_finds_a_bug_in_the_reference(
    plant: Callable[[pytest.MonkeyPatch], None], model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference(model)
    plant(monkeypatch)
    assert first_difference(model) is not None


# --- in the emitted C, found by the host comparison ---


@dataclass(frozen=True)
class Bug:
    """A pattern in the C, what replaces the first of it, and the layer that is then wrong (None: any)."""

    kernels: Pick
    pattern: str
    replacement: str
    layer: int | None


BUGS = {
    "rounding of the reference kernels": Bug(
        simplest, r"\(mask >> 1\) \+ \(x < 0 \? 1 : 0\)", "(mask >> 1)", None
    ),
    "rounding of the fast kernels": Bug(fastest, r"\+ \(x >> 31\)\) >> n", ") >> n", None),
    "high multiply without rounding": Bug(simplest, r" \+ \(\(int64_t\)1 << 30\)\) >> 31", ") >> 31", None),
    "padding row of the first layer": Bug(simplest, r"(net_pad0\[\d+\] = \{\s*)-?\d+", r"\g<1>0", 0),
    "padding row of the fast kernel": Bug(fastest, r"(net_pad0\[\d+\] = \{\s*)-?\d+", r"\g<1>0", 0),
    "zero point of an input": Bug(simplest, r"(net_p2 = \{[^}]*\.in_zp = )(-?\d+)", r"\g<1>1 + \2", 2),
    "zero point of a result": Bug(simplest, r"(net_p2 = \{[^}]*\.out_zp = )(-?\d+)", r"\g<1>1 + \2", 2),
    "zero point folded into the rounding": Bug(
        fastest, r"(net_p2 = \{[^}]*\.two_zp_1 = )(-?\d+)", r"\g<1>2 + \2", 2
    ),
    "one bias": Bug(simplest, r"(net_c1\[\d+\] = \{\s*)(-?\d+)", r"\g<1>200 + \2", 0),
}


def differing_layers(kernels: Pick, edit: Callable[[str], str]) -> list[int]:
    """The layers that ever are the first to leave the reference, over a few inputs."""
    graph = int8(small_cnn())
    p = plan(graph, pick=kernels)
    emitted = emit(p, "net")
    model = HostModel(
        p, "net", build_library([replace(emitted, source=edit(emitted.source))]), emitted.layers
    )
    found = set()
    for feed in draw(graph, 6, 40):
        values: dict[str, Array] = {}
        step_through(graph, feed, values.__setitem__)
        wrong: list[int] = []

        def watch(
            step: int, arena: Array, values: dict[str, Array] = values, wrong: list[int] = wrong
        ) -> None:
            name = p.steps[step].site.y.name
            if not np.array_equal(value_at(p, name, arena), values[name]):
                wrong.append(step)

        model.run(feed, watch)
        found.update(wrong[:1])
    return sorted(found)


@pytest.mark.parametrize("kernels", [fastest, simplest])
def test_without_a_bug_c_equals_numpy(kernels: Pick) -> None:
    assert differing_layers(kernels, lambda source: source) == []


@pytest.mark.parametrize("what", BUGS)
def test_the_host_comparison_finds_a_bug_in_the_c(what: str) -> None:
    bug = BUGS[what]

    def edit(source: str) -> str:
        changed, count = re.subn(bug.pattern, bug.replacement, source, count=1)
        assert count == 1, "the C no longer has what this test changes"
        assert changed != source
        return changed

    found = differing_layers(bug.kernels, edit)
    assert found
    if bug.layer is not None:
        assert found == [bug.layer]
