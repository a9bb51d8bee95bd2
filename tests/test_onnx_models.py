"""Whole networks through ONNX: torch's exporter writes, the import leaves no transpose, results are torch's."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from batch import Case, host_differences, host_models
from lilliput.evaluate import run
from lilliput.graph import Graph
from lilliput.importers.onnx import load_onnx
from lilliput.importers.torch import load_torch
from lilliput.ops.shape import Transpose
from lilliput.passes import simplify
from lilliput.plan import plan
from lilliput.quantize import quantize
from lilliput.zoo import build

pytestmark = pytest.mark.slow
SHAPES = {
    "mobilenet_v2": (32, 32, 3),
    "resnet8": (32, 32, 3),
    "ds_cnn": (25, 5, 1),
    "mobilenet_v1": (32, 32, 3),
    "lenet": (28, 28, 1),
    "alexnet": (32, 32, 3),
}


def exported(module: nn.Module, example: torch.Tensor) -> Graph:
    """The graph of what torch.onnx writes."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), (example,), file, dynamo=False, opset_version=17)
    return simplify(load_onnx(file.getvalue()))


def close(graph: Graph, module: nn.Module, inputs: torch.Tensor, *, planes: bool) -> None:
    with torch.no_grad():
        expected = module.eval()(inputs).numpy()
    x = inputs.numpy()
    found = run(graph, np.ascontiguousarray(x.transpose(0, 2, 3, 1)) if planes else x)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_no_transpose_is_left(name: str) -> None:
    h, w, c = SHAPES[name]
    torch.manual_seed(0)
    module = build(name, input_shape=(h, w, c), classes=4)
    x = torch.randn(3, c, h, w)
    graph = exported(module, x[:1])
    assert [site.op for site in graph.sites() if isinstance(site.op, Transpose)] == []
    close(graph, module, x, planes=True)
    samples = np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1))
    integers = quantize(graph, samples)
    assert {t.dtype for t in integers.tensors.values() if not t.constant} == {"int8"}


class Signal(nn.Module):
    """One axis: convolutions, a transposed one, every kind of pooling, then features."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(3, 8, 5, stride=2, padding=2),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.MaxPool1d(3, 2, 1),
            nn.Conv1d(8, 8, 3, padding="same", dilation=2, groups=8),
            nn.ReLU6(),
            nn.AvgPool1d(2, ceil_mode=True),
            nn.ConvTranspose1d(8, 6, 4, stride=2, padding=1),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(6, 4),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.layers(x)
        return result


class Decoder(nn.Module):
    """Two and three axes: transposed convolutions, and a volume."""

    def __init__(self) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 4, 3, stride=2, padding=1, output_padding=1)
        self.groups = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2, bias=False)
        self.volume = nn.Conv3d(2, 3, (2, 3, 3), padding=(0, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.groups(torch.relu(self.up(x))))
        n, _, h, w = y.shape
        z = nn.functional.max_pool3d(self.volume(y.reshape(n, 2, 3, h, w)), (1, 2, 2))
        return z.reshape(n, -1)


@pytest.mark.parametrize(("module", "shape"), [(Signal(), (3, 50)), (Decoder(), (3, 5, 4))])
def test_other_axes_from_torch_and_through_onnx(module: nn.Module, shape: tuple[int, ...]) -> None:
    """Both ways in give torch's results, and what either makes runs in C, in float32 and in int8."""
    torch.manual_seed(1)
    x = torch.randn(4, *shape)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.running_mean = torch.randn(8)
    cases = []
    for graph in (simplify(load_torch(module, x[:1])), exported(module, x[:1])):
        planes = len(graph.tensors[graph.inputs[0]].shape) == 4
        samples = x
        stored = graph.tensors[graph.inputs[0]].shape[1:]
        if not planes and stored != shape:  # ONNX's importer stores a signal channels-last
            samples = x.transpose(1, 2).contiguous()
        with torch.no_grad():
            expected = module.eval()(x).numpy()
        given = samples.numpy().transpose(0, 2, 3, 1) if planes else samples.numpy()
        given = np.ascontiguousarray(given)
        found = run(graph, given)
        np.testing.assert_allclose(found, expected, atol=2e-4 * np.abs(expected).max())
        cases += [Case("float32", plan(graph)), Case("int8", plan(quantize(graph, given)))]
    assert host_differences(cases, host_models(cases), seed=3) == []
