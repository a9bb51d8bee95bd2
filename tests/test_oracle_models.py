"""The outside oracle: the MLPerf Tiny reference models equal TFLM in every tensor of every reference input."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from lilliput.emit import emit
from lilliput.evaluate import all_tensors
from lilliput.firmware import Firmware, compile
from lilliput.graph import Array, Graph
from lilliput.importers.tflite import load_tflite
from lilliput.layers import layers_on_host, layers_on_machine
from lilliput.passes.constant_channels import reduced
from lilliput.plan import plan
from shared import shared
from tflm import Tflm

MODELS = {
    "kws": "kws_ref_model.tflite",
    "ic": "pretrainedResnet_quant.tflite",
    "vww": "vww_96_int8.tflite",
}


@cache
def model(name: str) -> tuple[bytes, Graph, Array]:
    content = shared("models", MODELS[name]).read_bytes()
    inputs = np.load(shared("refs", f"{name}.npz"))["x"]
    return content, load_tflite(content), inputs


@cache
def oracle(name: str) -> list[dict[str, Array]]:
    """Per input: our tensor name -> TFLM's value."""
    content, _, inputs = model(name)
    interpreter = Tflm(content)
    return [{f"t{i}": value for i, value in interpreter.run(x[None]).items()} for x in inputs]


@cache
def firmware(name: str, tmp: Path) -> Firmware:
    return compile(model(name)[1], "cortex-m4", name=name, out=tmp)


def compare(expected: dict[str, Array], name: str, value: Array) -> int:
    """Elements compared; tensors of our own between two of the file's have no counterpart."""
    if name not in expected:
        return 0
    assert np.array_equal(expected[name].reshape(-1), value.reshape(-1)), f"tensor {name} differs from TFLM"
    return value.size


@pytest.mark.parametrize("name", MODELS)
def test_numpy_equals_tflm_in_every_tensor(name: str) -> None:
    _, graph, inputs = model(name)
    ours = all_tensors(graph, inputs)
    for i, expected in enumerate(oracle(name)):
        seen = sum(compare(expected, tensor, values[i]) for tensor, values in ours.items())
        assert seen >= sum(v.size for v in expected.values()) * 0.99


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_host_and_core_equal_tflm_in_every_tensor(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Of the channels that the firmware still has: those that hold one value for any input are left out."""
    built = firmware(name, tmp_path_factory.mktemp(name))
    _, graph, inputs = model(name)
    kept = reduced(graph).kept
    for i, whole in enumerate(oracle(name)):
        values = {graph.inputs[0]: inputs[i : i + 1]}
        expected = {t: v[..., kept[t]] if t in kept and v.ndim else v for t, v in whole.items()}

        def check(_: int, tensor: str, value: Array, expected: dict[str, Array] = expected) -> None:
            compare(expected, tensor, value)

        layers_on_host(built, values, check)
        layers_on_machine(built, built.machine, values, check)
    assert np.array_equal(built.run(inputs), np.concatenate([o[graph.outputs[0]] for o in oracle(name)]))


@pytest.mark.parametrize("name", MODELS)
def test_same_model_gives_the_same_bytes(name: str) -> None:
    graph = model(name)[1]
    first, second = (emit(plan(graph), name) for _ in range(2))
    assert (first.source, first.header) == (second.source, second.header)
