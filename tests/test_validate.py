"""A planted difference is found in any output and any layer, and named."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lilliput.data.preprocess import Preprocess
from lilliput.firmware import Firmware, compile, open_build
from lilliput.graph import Array
from lilliput.validate import validate
from small_graphs import Builder, int8, small_cnn


def samples(count: int, seed: int = 4) -> Array:
    return np.random.default_rng(seed).normal(0, 1.5, (count, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    out = tmp_path_factory.mktemp("net") / "build"
    return compile(small_cnn(["a", "b"]), "cortex-m4", name="net", out=out, calibration=samples(50))


def planted(firmware: Firmware, folder: Path, change: Callable[[str], str]) -> Firmware:
    """The firmware after an edit of its C."""
    shutil.copytree(firmware.folder, folder)
    (folder / "net.c").write_text(change((folder / "net.c").read_text()))
    return open_build(folder)


def change_constant(source: str, struct: str) -> str:
    """Other numbers in the first array that a layer's parameter struct points to: weights or bias."""
    body = re.search(rf"_t {struct} = {{(.*?)}};", source, re.DOTALL)
    assert body is not None
    pointer = re.search(r"= (net_c\d+),", body[1])
    assert pointer is not None

    def others(match: re.Match[str]) -> str:
        changed = re.sub(r"-?\d+", lambda n: str(int(n[0]) + (90 if int(n[0]) < 0 else -90)), match[2])
        return f"{match[1]}{changed}{match[3]}"

    changed, count = re.subn(
        rf"( {pointer[1]}\[\d+\] = {{)(.*?)(}};)", others, source, count=1, flags=re.DOTALL
    )
    assert count == 1
    return changed


def where(firmware: Firmware) -> str:
    """Where a change of the shipped C shows: the host runs that C unless it holds a core's own instructions."""
    return "host" if firmware.host.plan is firmware.plan else "core"


@pytest.mark.parametrize("layer", [1, 2, 5])
def test_a_wrong_constant_is_traced_to_its_layer(layer: int, built: Firmware, tmp_path: Path) -> None:
    made = planted(built, tmp_path / "build", lambda c: change_constant(c, f"net_p{layer}"))
    step = made.plan.steps[layer]
    found = made.validate(samples(4))
    assert found["bit_exact"] is False
    difference = found["first_difference"]
    assert (difference["step"], difference["layer"]) == (layer, step.site.name)
    assert (difference["op"], difference["kernel"]) == (step.site.op.name, step.kernel.name)
    assert difference["tensor"] == step.site.y.name
    assert difference["where"] == where(made)
    assert difference["expected"] != difference["found"]
    assert made.machine.selftest() != 0, "the embedded self-test tells as well"


@pytest.fixture(scope="module")
def two_outputs(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    """The second output of the graph is computed first."""
    b = Builder()
    stem = b.conv(b.input(1, 8, 8, 3), 4, name="stem")
    second = b.conv(stem, 2, 1, name="second")
    graph = int8(b.graph(b.conv(stem, 5, 1, name="first"), second))
    return compile(graph, "cortex-m4", name="net", out=tmp_path_factory.mktemp("two") / "build")


def test_every_output_is_compared(two_outputs: Firmware, tmp_path: Path) -> None:
    x = samples(6)
    assert two_outputs.validate(x)["bit_exact"]
    shapes = [two_outputs.outputs(x, "host")[name].shape for name in two_outputs.graph.outputs]
    assert shapes == [(6, 8, 8, 5), (6, 8, 8, 2)]
    wrong = planted(two_outputs, tmp_path / "build", lambda c: change_constant(c, "net_p1")).validate(x)
    assert wrong["bit_exact"] is False
    assert (wrong["first_difference"]["layer"], wrong["first_difference"]["where"]) == (
        "second",
        where(two_outputs),
    )
    assert wrong["first_difference"]["output"] == two_outputs.graph.outputs[1]


def test_an_output_that_a_later_layer_overwrites_is_found(two_outputs: Firmware, tmp_path: Path) -> None:
    """Each layer's own results are right, and so is the first output."""
    name = two_outputs.graph.outputs[1]
    head = "static void net_l2(unsigned char *arena) {\n"
    spoil = f"  arena[{two_outputs.plan.offsets[name] + 7}] = 99;\n"
    made = planted(two_outputs, tmp_path / "build", lambda c: c.replace(head, head + spoil))
    found = made.validate(samples(3))
    assert found["bit_exact"] is False
    difference = found["first_difference"]
    assert "layer" not in difference
    assert {key: difference[key] for key in ("output", "sample", "where", "element", "differing")} == {
        "output": name,
        "sample": 0,
        "where": where(two_outputs),
        "element": 7,
        "differing": 1,
    }
    assert difference["found"] == 99


def test_validate_takes_pixels_the_way_that_was_recorded(two_outputs: Firmware) -> None:
    graph = replace(two_outputs.graph, meta={"preprocess": Preprocess(8, 8, 3).to_json()})
    pixels = np.random.default_rng(3).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    assert validate(replace(two_outputs, graph=graph), pixels)["bit_exact"]
