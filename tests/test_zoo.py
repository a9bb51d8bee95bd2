"""The zoo: every family for any shape, exported cleanly, and pruned."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from lilliput import zoo
from lilliput.compress.prune import model_size, prune_channels
from lilliput.errors import UserError
from lilliput.evaluate import run
from lilliput.loading import load
from lilliput.quantize import quantize

#: Their channels cannot be pruned.
SEQUENCES = ["gru", "lstm", "transformer"]
PRUNABLE = [family for family in zoo.FAMILIES if family not in SEQUENCES]
SHAPES = [(28, 28, 1), (5, 7, 3), (1, 1, 6), (49, 10, 1), (96, 96, 3)]
#: All that an importer has to know to read the zoo.
ATEN = {
    "aten.conv2d.default",
    "aten.batch_norm.default",
    "aten.relu.default",
    "aten.relu6.default",
    "aten.hardtanh.default",
    "aten.add.Tensor",
    "aten.adaptive_avg_pool2d.default",
    "aten.max_pool2d.default",
    "aten.flatten.using_ints",
    "aten.linear.default",
    "aten.dropout.default",
    "aten.permute.default",
    "aten.transpose.int",
    "aten.unsqueeze.default",
    "aten.select.int",
    "aten.slice.Tensor",
    "aten.pad.default",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("family", zoo.FAMILIES)
def test_any_shape_and_class_count(family: str, shape: tuple[int, int, int]) -> None:
    height, width, channels = shape
    model = zoo.build(family, input_shape=shape, classes=7).eval()
    assert model(torch.zeros(2, channels, height, width)).shape == (2, 7)


@pytest.mark.parametrize("family", PRUNABLE)
def test_export_is_clean_aten(family: str) -> None:
    options: dict[str, object] = {"relu6": True} if family == "mobilenet_v2" else {}
    model = zoo.build(family, input_shape=(28, 28, 1), classes=10, **options).eval()
    program = torch.export.export(model, (torch.zeros(1, 1, 28, 28),))
    used = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert used <= ATEN


@pytest.mark.parametrize("family", zoo.FAMILIES)
def test_size_fits_a_microcontroller(family: str) -> None:
    model = zoo.build(family, input_shape=(28, 28, 1), classes=10)
    assert sum(p.numel() for p in model.parameters()) < 100_000


@pytest.mark.slow
@pytest.mark.parametrize("family", ["gru", "lstm", "cnn1d", "tcn", "transformer", "autoencoder"])
def test_windows_become_graphs(family: str, recwarn: pytest.WarningsRecorder) -> None:
    """Windows [50, 6] and images of three channels, as torch computes them, without a word from torch, and in int8."""
    for height, width, channels in ((50, 6, 1), (5, 7, 3)):
        torch.manual_seed(0)
        model = zoo.build(family, input_shape=(height, width, channels), classes=7).eval()
        x = torch.randn(16, channels, height, width)
        graph = load(model, x[:1])
        samples = x.permute(0, 2, 3, 1).numpy()
        with torch.no_grad():
            expected = model(x).numpy()
        np.testing.assert_allclose(run(graph, samples), expected, atol=1e-5)
        integers = quantize(graph, samples)
        found = run(integers, samples)
        quant = integers.tensors[integers.outputs[0]].quant
        assert quant is not None
        error = np.abs(quant.dequantize(found) - expected).max()
        assert error < 0.05 * np.abs(expected).max()  # of a model that was not trained
    assert not [str(w.message) for w in recwarn if "_flat_weights" in str(w.message)]


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'mobilenet_v2'"):
        zoo.build("mobilnet_v2", input_shape=(28, 28, 1), classes=10)
    with pytest.raises(UserError, match="did you mean 'width'"):
        zoo.build("resnet8", input_shape=(28, 28, 1), classes=10, widht=2)
    with pytest.raises(UserError, match="expected one of mlp, lenet"):
        zoo.build("zzz", input_shape=(28, 28, 1), classes=10)
    with pytest.raises(UserError, match="at least 1"):
        zoo.build("mlp", input_shape=(28, 0, 1), classes=10)
    with pytest.raises(UserError, match="check the types"):
        zoo.build("mlp", input_shape=(28, 28, 1), classes=10, hidden="many")


def test_torch_is_imported_late() -> None:
    modules = (
        "lilliput.zoo, lilliput.data, lilliput.train.recipes, lilliput.train.metrics, lilliput.train.source"
    )
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules or 'PIL' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# --- pruning ---


def kernels(model: nn.Module) -> list[nn.Module]:
    return [m for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]


@pytest.mark.parametrize("family", [f for f in PRUNABLE if f != "autoencoder"])
def test_a_third_of_the_channels_goes(family: str) -> None:
    torch.manual_seed(0)
    model = zoo.build(family, input_shape=(28, 28, 1), classes=10)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    pruned = prune_channels(model, torch.zeros(1, 1, 28, 28))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    for old, new in zip(kernels(model)[:-1], kernels(pruned.model)[:-1], strict=True):
        wide, narrow = old.weight.shape[0], new.weight.shape[0]
        assert narrow % 4 == 0
        assert narrow <= wide * 2 / 3 or wide <= 8
    assert kernels(pruned.model)[-1].weight.shape[0] == 10
    assert pruned.after.weights < pruned.before.weights * 0.7
    assert pruned.after.macs < pruned.before.macs * 0.7
    assert pruned.after.live <= pruned.before.live
    program = torch.export.export(pruned.model, (torch.zeros(1, 1, 28, 28),))
    used = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert used <= ATEN


@pytest.mark.parametrize("importance", ["magnitude", "bn-scale", "taylor"])
def test_the_least_important_channels_go(importance: str) -> None:
    """Channels whose batch-norm scale is tiny are the least important by every measure."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 12, 3), nn.BatchNorm2d(12), nn.ReLU(), nn.Conv2d(12, 2, 1))
    weak = [1, 4, 6, 9]
    with torch.no_grad():
        for channel in weak:
            for value in (model[0].weight, model[0].bias, model[1].weight, model[1].bias):
                value[channel] *= 1e-3
            model[3].weight[:, channel] *= 1e-3
    x = torch.randn(8, 1, 4, 4)
    pruned = prune_channels(
        model, x[:1], 1 / 3, round_to=1, importance=importance, loss=lambda m: (m(x) ** 2).mean()
    )
    kept = [c for c in range(12) if c not in weak]
    assert torch.equal(pruned.model[0].weight, model[0].weight[kept])
    assert torch.equal(pruned.model[3].weight, model[3].weight[:, kept])


def test_residuals_stay_in_step() -> None:
    model = zoo.build("mobilenet_v2", input_shape=(16, 16, 3), classes=4, stages=((2, 24, 3, 2),))
    pruned = prune_channels(model, torch.zeros(1, 3, 16, 16), 0.5)
    blocks = [m for m in pruned.model.modules() if getattr(m, "residual", False)]
    assert len(blocks) == 2
    assert pruned.model(torch.randn(3, 3, 16, 16)).shape == (3, 4)
    assert {kernels(block)[-1].weight.shape[0] for block in blocks} == {12}


def test_prune_refusals() -> None:
    model = zoo.build("mlp", input_shape=(2, 2, 1), classes=2)
    with pytest.raises(UserError, match="0 < fraction < 1"):
        prune_channels(model, torch.zeros(1, 1, 2, 2), 1.0)
    with pytest.raises(UserError, match="needs a loss"):
        prune_channels(model, torch.zeros(1, 1, 2, 2), importance="taylor")
    with pytest.raises(UserError, match="no convolution or linear"):
        model_size(nn.ReLU(), torch.zeros(1, 1, 2, 2))


@pytest.mark.parametrize("family", SEQUENCES)
def test_what_cannot_be_pruned_says_so(family: str) -> None:
    model = zoo.build(family, input_shape=(9, 4, 1), classes=2)
    with pytest.raises(
        UserError, match=r"layer of kind (GRU|LSTM|MultiheadAttention); .* leave \[prune\] out"
    ):
        prune_channels(model, torch.zeros(1, 1, 9, 4))


def test_model_size_of_a_gru_by_hand() -> None:
    model = zoo.build("gru", input_shape=(9, 4, 1), classes=2, hidden=5)
    size = model_size(model, torch.zeros(1, 1, 9, 4))
    assert (size.weights, size.channels) == (15 * 4 + 15 * 5 + 5 * 2, 15 + 2)
    assert (size.macs, size.live) == (9 * (15 * 4 + 15 * 5) + 5 * 2, 9 * 4 + 9 * 5)


def test_model_size_of_a_transformer_by_hand() -> None:
    model = zoo.build("transformer", input_shape=(9, 4, 1), classes=2, size=8, heads=2, layers=1, hidden=16)
    size = model_size(model, torch.zeros(1, 1, 9, 4))
    each = 4 * 8 + 3 * 8 * 8 + 8 * 8 + 2 * 8 * 16
    assert size.weights == each + 8 * 2
    assert size.macs == 9 * each + 2 * 9 * 9 * 8 + 8 * 2


def test_model_size_counts_by_hand() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 25, 3))
    size = model_size(model, torch.zeros(1, 1, 5, 5))
    assert (size.weights, size.channels) == (4 * 9 + 300, 7)
    assert size.macs == 25 * 36 + 300
    assert size.live == 25 + 100
