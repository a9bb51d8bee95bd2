"""Windows and mel weights are constants; a long transform keeps its precision."""

from __future__ import annotations

import numpy as np
import pytest

from batch import Case, host_models
from lilliput.errors import UserError
from lilliput.examples import float_graph
from lilliput.importers.onnx import load_onnx
from lilliput.op import Example
from lilliput.ops.spectrum import Dft
from lilliput.plan import plan
from onnx_nodes import NODES, load_case

WINDOWS = [
    f"test_{name}window{kind}" for name in ("hann", "hamming", "blackman") for kind in ("", "_symmetric")
]


@pytest.mark.parametrize("name", [*WINDOWS, "test_melweightmatrix"])
def test_constants_are_computed_when_a_model_is_imported(name: str) -> None:
    """ONNX's own cases; they have nothing to run on a device."""
    case = load_case(name)
    (output,), (expected,) = case.graph.outputs, case.expected.values()
    found = case.graph.tensors[output].data
    assert found is not None
    assert not case.graph.nodes
    assert np.allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_an_absurd_window_is_refused() -> None:
    with pytest.raises(UserError, match=r"HannWindow.*size is 99999999, expected 1 to 65536"):
        load_onnx(
            (NODES / "test_hannwindow/model.onnx").read_bytes(),
            constants={"x": np.array(99_999_999, np.int32)},
        )


@pytest.mark.parametrize(("length", "kernel"), [(1024, "fft_f32"), (1000, "dft_f32")])
def test_a_long_transform_keeps_its_precision(length: int, kernel: str) -> None:
    """Errors grow with the length where it is summed directly, with its logarithm where it is halved."""
    graph = float_graph(Example(Dft(1, length, onesided=True), ((1, length, 1),)))
    planned = plan(graph)
    assert [step.kernel.name for step in planned.steps] == [kernel]
    x = np.random.default_rng(3).normal(0, 1, (1, length, 1)).astype(np.float32)
    (model,) = host_models([Case(kernel, planned)])
    found = model.run({"x0": x})["y0"]
    expected = np.fft.rfft(x[..., 0].astype(np.float64))
    error = np.abs(found[..., 0] + 1j * found[..., 1] - expected).max()
    assert error < (1e-6 if kernel == "fft_f32" else 1e-5) * np.abs(expected).max()
