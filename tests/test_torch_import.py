"""torch modules as graphs: equal numbers, tidy layouts, and refusals that name the module."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812  torch's own spelling
from torch import Tensor, nn

import lilliput
from lilliput import zoo
from lilliput.errors import UserError
from lilliput.evaluate import step_through
from lilliput.graph import Graph
from lilliput.importers.registry import torch_converters
from lilliput.importers.torch import load_torch
from lilliput.learn import to_torch
from lilliput.op import Op

BOUND = 1e-4
"""float32 in another order of summation, relative to the largest value of the tensor."""


def trained(module: nn.Module) -> nn.Module:
    """The module with weights and statistics that matter, in eval mode."""
    torch.manual_seed(1)
    for m in module.modules():
        if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d):
            m.running_mean.normal_()  # type: ignore[union-attr]
            m.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            if m.affine:
                nn.init.normal_(m.weight, 1, 0.3)
                nn.init.normal_(m.bias)
    return module.eval()


def stored(graph: Graph, x: Tensor) -> np.ndarray:
    """A sample in torch's layout as the graph's input stores it."""
    return (
        (x.permute(0, 2, 3, 1) if x.ndim == 4 else x)
        .contiguous()
        .numpy()
        .reshape(graph.tensors[graph.inputs[0]].shape)
    )


def assert_equal(module: nn.Module, *shape: int) -> Graph:
    """The simplified graph, after comparing three samples with torch."""
    torch.manual_seed(2)
    graph = lilliput.load(module, torch.randn(1, *shape))
    for _ in range(3):
        x = torch.randn(1, *shape)
        with torch.no_grad():
            expected = module(x)
        feed = {graph.inputs[0]: stored(graph, x)}
        results = expected if isinstance(expected, tuple) else (expected,)
        assert len(results) == len(graph.outputs)
        for name, result in zip(graph.outputs, results, strict=True):
            found = step_through(graph, feed)[name]
            if result.ndim == 4:
                found = found.transpose(0, 3, 1, 2)
            assert found.shape == tuple(result.shape)
            limit = BOUND * max(float(result.abs().max()), 1e-3)
            assert float(np.abs(found - result.numpy()).max()) <= limit
    return graph


def transposes(graph: Graph) -> list[Op]:
    return [node.op for node in graph.nodes if node.op.as_permutation() is not None]


class Residual(nn.Module):
    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels),
        )  # fmt: skip
        self.short = nn.Conv2d(channels, channels, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.short(x) + self.body(x))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.Conv2d(8, 6, (1, 3), padding="same"), nn.ReLU6(), nn.MaxPool2d(2),
        nn.Conv2d(6, 5, 2, padding="valid", dilation=(2, 1)), nn.Hardtanh(),
        nn.Flatten(), nn.Linear(10, 4),
    )  # fmt: skip


def residual() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 8, 1), Residual(8), Residual(8, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def separable() -> nn.Module:
    return nn.Sequential(
        nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(4, 8, 3, stride=2, groups=4, bias=False), nn.BatchNorm2d(8),
        nn.ReLU(), nn.Conv2d(8, 6, 1),
        nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6, affine=False), nn.ReLU6(),
        nn.Conv2d(6, 4, 3, groups=2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(4, 3), nn.Softmax(1),
    )  # fmt: skip


def flatten_relu_linear() -> nn.Module:
    """What lies between flatten and linear must not stop the weights from taking the order."""
    return nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.Flatten(), nn.ReLU(), nn.Dropout(0.5), nn.Linear(3 * 4 * 5, 7), nn.Linear(7, 2)
    )


CNNS: list[tuple[Callable[[], nn.Module], tuple[int, ...]]] = [
    (cnn, (3, 12, 13)),
    (residual, (2, 8, 9)),
    (separable, (4, 9, 9)),
    (flatten_relu_linear, (1, 6, 7)),
]


@pytest.mark.parametrize(("build", "shape"), CNNS, ids=[build.__name__ for build, _ in CNNS])
def test_cnns_are_equal_and_without_transposes(
    build: Callable[[], nn.Module], shape: tuple[int, ...]
) -> None:
    graph = assert_equal(trained(build()), *shape)
    assert transposes(graph) == []


def test_norms_and_activations_are_folded() -> None:
    graph = assert_equal(trained(residual()), 2, 8, 9)
    assert not any(node.op.as_clamp() for node in graph.nodes)
    assert not any(site.op.as_affine(site) for site in graph.sites())


@pytest.mark.slow
@pytest.mark.parametrize("family", zoo.FAMILIES)
def test_the_zoo_is_equal(family: str) -> None:
    module = trained(zoo.build(family, input_shape=(20, 18, 2), classes=5))
    graph = assert_equal(module, 2, 20, 18)
    assert transposes(graph) == []


def test_imported_graphs_go_back_to_torch() -> None:
    module = trained(cnn())
    x = torch.randn(1, 3, 12, 13)
    again = to_torch(lilliput.load(module, x))
    with torch.no_grad():
        assert torch.allclose(again(x.permute(0, 2, 3, 1)), module(x), atol=1e-4)


# --- small things users write ---


class Function(nn.Module):
    """A function as a module with one convolution."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.conv(x))


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "functional relu": F.relu,
    "relu in place": lambda y: F.relu(y, inplace=True),
    "method in place": lambda y: y.relu_(),
    "torch.relu": torch.relu,
    "clamp": lambda y: y.clamp(min=0.1),
    "dropout": lambda y: F.dropout(y, 0.5, training=False),
    "plus a number": lambda y: y + 3,
    "number first": lambda y: 0.5 + y,
    "times a number": lambda y: y * 2.5,
    "minus": lambda y: 1 - y,
    "plus equals": lambda y: y.add_(1.5),
    "divided": lambda y: y / 4,
    "itself": lambda y: y + y,
    "with alpha": lambda y: torch.add(y, y, alpha=2),
    "view": lambda y: y.view(1, -1),
    "reshape in halves": lambda y: y.reshape(1, 3, 2, -1).mean(3),
    "permute": lambda y: y.permute(0, 2, 3, 1),
    "mean of the plane": lambda y: y.mean((2, 3)),
    "mean kept": lambda y: y.mean((2, 3), keepdim=True) * y,
    "cat of channels": lambda y: torch.cat([y, y * 2], 1),
    "cat of columns": lambda y: torch.cat([y, y], dim=-1),
    "slice": lambda y: y[:, 1:, ::2],
    "softmax of channels": lambda y: torch.softmax(y, 1),
}


@pytest.mark.parametrize("what", FUNCTIONS)
def test_functions(what: str) -> None:
    assert_equal(Function(FUNCTIONS[what]).eval(), 2, 4, 6)


def test_several_results() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.a, self.b = nn.Conv2d(1, 2, 3), nn.Linear(8, 3), nn.Conv2d(2, 1, 1)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.body(x)
            return self.a(y.flatten(1)), self.b(y)

    assert len(assert_equal(Two().eval(), 1, 4, 4).outputs) == 2


def test_other_ranks() -> None:
    assert_equal(trained(nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2))), 6)
    assert_equal(nn.Linear(4, 3).eval(), 5, 4)


def test_linear_on_images_keeps_torchs_order() -> None:
    """An image flattened without any convolution before it."""
    assert_equal(nn.Sequential(nn.Flatten(), nn.Linear(2 * 3 * 5, 4)).eval(), 2, 3, 5)


# --- sequences, integers, several inputs ---


def test_sequences_for_convolutions_are_stored_channels_last() -> None:
    """No transpose on the device; the order is in the graph's metadata."""
    torch.manual_seed(3)
    body = nn.Sequential(
        nn.Conv1d(3, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(4, 5, 2)
    )
    for module, last in ((body, True), (nn.Sequential(body, nn.AdaptiveAvgPool1d(1), nn.Flatten()), False)):
        x = torch.randn(1, 3, 12)
        graph = lilliput.load(trained(module), x)
        assert transposes(graph) == []
        assert graph.meta["orders"][graph.inputs[0]] == [0, 2, 1]
        (found,) = step_through(graph, {graph.inputs[0]: x.permute(0, 2, 1).contiguous().numpy()}).values()
        expected = module(x).detach().numpy()
        np.testing.assert_allclose(found, expected.transpose(0, 2, 1) if last else expected, atol=1e-5)
    volume = lilliput.load(nn.Conv3d(2, 3, 2), torch.zeros(1, 2, 3, 3, 3))
    assert volume.tensors[volume.inputs[0]].shape == (1, 3, 3, 3, 2)
    recurrent = lilliput.load(nn.Linear(4, 3), torch.zeros(1, 5, 4))
    assert "orders" not in recurrent.meta


WHOLE: dict[str, Callable[[Tensor], Tensor]] = {
    "plus": lambda i: i + 1,
    "times": lambda i: 2 * i,
    "from": lambda i: 1 - i,
    "divided": lambda i: i / 4,
    "cut": lambda i: torch.div(i, 2, rounding_mode="trunc"),
    "rest": lambda i: i % 3,
    "times a real": lambda i: i * 0.5,
    "squared": lambda i: i**2,
    "above a real": lambda i: i > 2.5,
    "chosen": lambda i: torch.where(i > 3, i, 0),
    "scaled sum": lambda i: torch.add(i, i, alpha=3),
    "zeros": lambda i: i + torch.zeros(1, 6, dtype=torch.int64) + i.new_zeros(6),
    "as another": lambda i: (i * 0.7).type_as(i),
    "small": lambda i: i.to(torch.int8) + 1,
}


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("what", WHOLE)
def test_integers_stay_integers(what: str, dtype: torch.dtype) -> None:
    class Whole(nn.Module):
        def forward(self, i: Tensor) -> Tensor:
            return WHOLE[what](i)

    x = torch.tensor([[0, 3, 9, 4, 2, 7]], dtype=dtype)
    graph = lilliput.load(Whole(), x)
    (found,) = step_through(graph, {graph.inputs[0]: x.numpy()}).values()
    expected = Whole()(x).numpy()
    assert graph.tensors[graph.inputs[0]].dtype == str(dtype).removeprefix("torch.")
    assert found.dtype.kind == expected.dtype.kind
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_token_ids_and_several_inputs() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.head = nn.Embedding(10, 8), nn.Linear(8, 3)

        def forward(self, ids: Tensor, seen: Tensor) -> Tensor:
            q = self.words(ids).reshape(1, 6, 2, 4).transpose(1, 2)
            y = F.scaled_dot_product_attention(q, q, q, attn_mask=seen[:, None, None, :])
            result: Tensor = self.head(y.transpose(1, 2).flatten(2).mean(1))
            return result

    module = Tokens().eval()
    given = torch.tensor([[1, 9, 0, 4, 4, 7]]), torch.tensor([[True, True, False, True, False, True]])
    graph = lilliput.load(module, given)
    assert [graph.tensors[n].dtype for n in graph.inputs] == ["int64", "bool"]
    feed = {n: v.numpy() for n, v in zip(graph.inputs, given, strict=True)}
    (found,) = step_through(graph, feed).values()
    np.testing.assert_allclose(found, module(*given).detach().numpy(), atol=1e-6)


def test_types_that_are_not_computed_are_refused() -> None:
    class To(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.to(torch.complex64)

    with pytest.raises(UserError, match="a conversion from float32 to complex64 is not supported, only to"):
        load_torch(To(), torch.zeros(1, 3))
    with pytest.raises(UserError, match="input 'input' has the type complex64"):
        load_torch(nn.Identity(), torch.zeros(1, 3, dtype=torch.complex64))


# --- training mode ---


@pytest.mark.parametrize("training", [True, False])
def test_the_module_is_left_as_it_was(training: bool) -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout()).train(training)
    module[1].eval()  # a frozen layer in a training model
    before = {name: value.clone() for name, value in module.state_dict().items()}
    modes = [m.training for m in module.modules()]
    load_torch(module, torch.zeros(1, 1, 5, 5))
    assert [m.training for m in module.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_a_failed_import_restores_the_mode_too() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout())
    with pytest.raises(UserError):
        load_torch(module, torch.zeros(1, 7, 5, 5))
    assert all(m.training for m in module.modules())


# --- refusals ---


class Nested(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 2, 1), inner)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.features(x)
        return result


class Noise(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.bernoulli(x)


def test_an_unsupported_operator_names_its_module_and_what_is_supported() -> None:
    with pytest.raises(
        UserError, match=r"layer 'features\.1': operator 'bernoulli' is not supported"
    ) as error:
        load_torch(Nested(Noise()), torch.zeros(1, 1, 4, 4))
    assert "Supported: " in str(error.value)
    assert f"lilliput ops --from torch lists all {len(torch_converters())}" in str(error.value)
    assert "bernoulli" not in torch_converters()


def test_weights_computed_at_run_time_are_refused() -> None:
    class Dynamic(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.conv2d(x, x[:, :, :2, :2])

    with pytest.raises(UserError, match="weights that are computed at run time are not supported"):
        load_torch(Nested(Dynamic()), torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("shape", [(2, 1, 4, 4), (1, 4), ()], ids=str)
def test_a_bad_example_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError) as error:
        load_torch(Nested(nn.ReLU()), torch.zeros(shape))
    if shape and shape[0] == 2:
        assert "give one sample with a leading batch dimension of 1" in str(error.value)
        assert str(shape) in str(error.value)


def test_an_example_is_needed() -> None:
    with pytest.raises(UserError, match="needs an example input"):
        lilliput.load(nn.ReLU())


def test_batch_norm_without_statistics_is_refused() -> None:
    inner = nn.BatchNorm2d(2, track_running_stats=False)
    with pytest.raises(UserError, match=r"layer 'features\.1'"):
        load_torch(Nested(inner), torch.zeros(1, 1, 4, 4))


def test_weights_that_are_not_finite_are_refused() -> None:
    module = Nested(nn.ReLU())
    with torch.no_grad():
        module.features[0].weight[0] = float("nan")  # type: ignore[index]
    with pytest.raises(UserError, match=r"'features\.0\.weight' holds NaN or infinite values \(1 of 2\)"):
        load_torch(module, torch.zeros(1, 1, 4, 4))


def test_control_flow_on_data_is_refused() -> None:
    class Branch(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(UserError, match=r"torch.export cannot trace the module"):
        load_torch(Branch(), torch.zeros(1, 3))


def test_numpy_examples_and_integers_are_taken() -> None:
    graph = load_torch(nn.Linear(3, 2).eval(), np.zeros((1, 3), np.float32))
    assert graph.tensors[graph.inputs[0]].shape == (1, 3)


def test_the_same_module_gives_the_same_graph() -> None:
    module = trained(cnn())
    first, second = (lilliput.load(module, torch.zeros(1, 3, 12, 13)) for _ in range(2))
    assert str(first) == str(second)
    assert list(first.tensors) == list(second.tensors)
