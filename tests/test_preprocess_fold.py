"""Preprocessing inside the graph: the device takes bytes, and gets of them the numbers that training did."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

import lilliput.ops  # noqa: F401  fills the registry
from lilliput.data.preprocess import Preprocess, fit_preprocess
from lilliput.deploy import recorded_input_quant, run_on_core
from lilliput.errors import UserError
from lilliput.evaluate import as_input, run, step_through
from lilliput.examples import draw
from lilliput.firmware import compile, open_build
from lilliput.graph import Array, Graph, Tensor, verify
from lilliput.loading import load
from lilliput.npz import read_samples
from lilliput.op import REGISTRY, Example
from lilliput.ops.conv import Conv2d, DepthwiseConv2d
from lilliput.ops.norm import BatchNorm
from lilliput.passes.fold import fold_affine_forward
from lilliput.passes.preprocess import fold_preprocess
from lilliput.quantize import quantize
from lilliput.quantize.report import sqnr
from small_graphs import RELU, Builder

H, W, C = 9, 10, 3
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
FLOAT = 1e-5
"""float32 against float32 in another order, relative to the largest value: a grey level would be 4e-3."""
LAYERS = {
    "padded": lambda: nn.Conv2d(C, 8, 3, padding=1),
    "valid": lambda: nn.Conv2d(C, 8, 3),
    "grouped": lambda: nn.Conv2d(C, 6, 3, groups=3),
    "flat": lambda: nn.Sequential(nn.Flatten(), nn.Linear(H * W * C, 12), nn.Unflatten(1, (12, 1, 1))),
}

pytestmark = pytest.mark.slow


def network(first: str) -> nn.Module:
    """The first layer, a ReLU, another layer, four classes; always the same weights."""
    torch.manual_seed(5)
    layer = LAYERS[first]()
    out = layer(torch.zeros(1, C, H, W)).shape[1]
    body = (
        nn.ReLU(),
        nn.Conv2d(out, 8, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 4),
    )
    return nn.Sequential(layer, *body).eval()


def pictures(count: int, seed: int = 0) -> Array:
    """Smooth colours with noise, so that borders, darkness and brightness all occur."""
    rng = np.random.default_rng(seed)
    light = rng.uniform(0, 255, (count, 1, 1, C))
    slope = rng.normal(0, 12, (2, count, 1, 1, C))
    rows, columns = np.arange(H).reshape(1, H, 1, 1), np.arange(W).reshape(1, 1, W, 1)
    x = light + slope[0] * (rows - H / 2) + slope[1] * (columns - W / 2) + rng.normal(0, 8, (count, H, W, C))
    return np.clip(x, 0, 255).astype(np.uint8)


def torch_result(module: nn.Module, preprocess: Preprocess, x: Array) -> Array:
    """What training saw: the network on normalised samples."""
    with torch.no_grad():
        return np.asarray(module(torch.from_numpy(preprocess.apply(x)).permute(0, 3, 1, 2)))


def folded(first: str, preprocess: Preprocess) -> tuple[nn.Module, Graph]:
    module = network(first)
    return module, fold_preprocess(load(module, torch.zeros(1, C, H, W)), preprocess)


def on_bytes(graph: Graph, x: Array) -> Array:
    """The float graph's input for pixels."""
    return Preprocess.from_json(graph.meta["preprocess"]).apply(x)


def close(a: Array, b: Array) -> None:
    assert a.shape == b.shape
    scale = float(np.abs(a).max())
    assert float(np.abs(a.astype(np.float64) - b).max()) <= FLOAT * scale


# Preprocessing, first layer, and whether the normalisation is a layer of its own afterwards.
CASES: dict[str, tuple[Preprocess, str, bool]] = {
    "colours differ": (Preprocess(H, W, C, *IMAGENET), "valid", False),
    "colours differ, groups": (Preprocess(H, W, C, *IMAGENET), "grouped", False),
    "colours differ, flattened": (Preprocess(H, W, C, *IMAGENET), "flat", False),
    "colours differ, padding": (Preprocess(H, W, C, *IMAGENET), "padded", True),
    "half a level, padding": (Preprocess(H, W, C, (100.5 / 255,), (0.3,)), "padded", True),
    "half a level": (Preprocess(H, W, C, (100.5 / 255,), (0.3,)), "valid", False),
    "a whole level, deviations differ, padding": (
        Preprocess(H, W, C, (100 / 255,), (0.1, 0.2, 0.4)),
        "padded",
        False,
    ),
    "no grey at all, padding": (Preprocess(H, W, C, (-0.4, 1.7, 0.5), (1.0, 2.0, 0.5)), "padded", True),
}


@pytest.mark.parametrize("case", CASES)
def test_the_float_graph_on_pixels_is_the_network_on_normalised_samples(case: str) -> None:
    preprocess, first, stays = CASES[case]
    module, graph = folded(first, preprocess)
    x = pictures(20)
    close(torch_result(module, preprocess, x), run(graph, on_bytes(graph, x)).reshape(20, 4))
    assert isinstance(graph.nodes[0].op, BatchNorm) == stays
    assert len(graph.nodes) == len(load(module, torch.zeros(1, C, H, W)).nodes) + stays
    assert recorded_input_quant(graph) is not None, "what is left is input quantization"


@pytest.mark.parametrize("case", CASES)
def test_the_integers_are_pixel_less_128(case: str) -> None:
    preprocess, first, _ = CASES[case]
    _, graph = folded(first, preprocess)
    ranges = {name: (-1.0, 1.0) for name, t in graph.tensors.items() if not t.constant}
    int8 = quantize(graph, ranges=ranges, input_quant=recorded_input_quant(graph))
    x = np.resize(np.arange(256, dtype=np.uint8), (1, H, W, C))
    np.testing.assert_array_equal(as_input(int8, on_bytes(int8, x)), x.astype(int) - 128)


def test_every_grey_level_may_be_the_zero() -> None:
    x = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    for level in range(256):
        base, _, offset = Preprocess(16, 16, 1, (level / 255 + 1e-4,), (0.2,)).on_pixels()
        assert base.input_quant() == (1 / 255, level - 128)
        assert offset[0] != 0
        graph = Graph(("x",), ("x",), (), {"x": Tensor("x", (1, 16, 16, 1))}, {"preprocess": base.to_json()})
        quant = recorded_input_quant(graph)
        assert quant is not None
        np.testing.assert_array_equal(quant.quantize(base.apply(x), "int8"), x.astype(int) - 128)


def test_nothing_changes_where_the_input_quantization_says_it_all() -> None:
    """Pixels with one whole grey level as mean (what is fitted by default), and numbers."""
    numbers = np.random.default_rng(0).normal([1, 100, 5], [1, 10, 2], (50, H, W, 3)).astype(np.float32)
    for preprocess in (fit_preprocess(pictures(50)), fit_preprocess(numbers), Preprocess(H, W, C)):
        graph = load(network("padded"), torch.zeros(1, C, H, W))
        after = fold_preprocess(graph, preprocess)
        assert str(after) == str(graph)
        assert after.tensors == graph.tensors
        assert Preprocess.from_json(after.meta["preprocess"]) == preprocess


def test_what_does_not_fit_is_refused() -> None:
    graph = load(network("padded"), torch.zeros(1, C, H, W))
    with pytest.raises(UserError, match=r"input: float32\[1×9×10×3\]; preprocessing gives .*\(9, 10, 1\)"):
        fold_preprocess(graph, Preprocess(H, W, 1))
    with pytest.raises(UserError, match="needs them as its last axis"):
        fold_preprocess(
            Graph(("x",), ("x",), (), {"x": Tensor("x", (1, H * W * C))}), CASES["half a level"][0]
        )
    once = fold_preprocess(graph, CASES["colours differ"][0])
    with pytest.raises(UserError, match=r"folded already\?"):
        fold_preprocess(once, CASES["colours differ"][0])
    b = Builder()
    b.constant([1.0] * 3, "x0.scale")
    taken = b.graph(b.add(BatchNorm(), b.input(1, H, W, 3), "x0.scale", b.random(3)))
    with pytest.raises(UserError, match=r"a tensor 'x0\.scale', which preprocessing wants to add"):
        fold_preprocess(taken, CASES["colours differ"][0])


def test_a_norm_at_the_input_is_merged_with_it() -> None:
    preprocess = Preprocess(H, W, C, *IMAGENET)
    norm = nn.BatchNorm2d(C)
    norm.running_mean, norm.running_var = torch.tensor([0.1, -0.2, 0.3]), torch.tensor([0.5, 1.5, 2.5])
    for first, layers in (("padded", 1), ("valid", 0)):
        module = nn.Sequential(norm, *network(first)).eval()
        graph = fold_preprocess(load(module, torch.zeros(1, C, H, W)), preprocess)
        assert [isinstance(n.op, BatchNorm) for n in graph.nodes].count(True) == layers
        x = pictures(5)
        close(torch_result(module, preprocess, x), run(graph, on_bytes(graph, x)).reshape(5, 4))


# --- on the core ---


@pytest.mark.parametrize("case", ["colours differ", "colours differ, padding", "colours differ, flattened"])
def test_the_firmware_takes_pixels(case: str, tmp_path: Path) -> None:
    preprocess, first, _ = CASES[case]
    module, graph = folded(first, preprocess)
    calibration = on_bytes(graph, pictures(100, 1))
    int8 = quantize(graph, calibration, input_quant=recorded_input_quant(graph))
    made = compile(int8, "cortex-m4", name="rgb", out=tmp_path)
    x = pictures(40, 2)
    expected = run(int8, (x.astype(np.int16) - 128).astype(np.int8))
    for found in (
        made.run(x),
        made.run(x, "host"),
        made.reference(x),
        run_on_core(made, x)[made.graph.outputs[0]],
    ):
        np.testing.assert_array_equal(found, expected)
    assert made.validate(x)["bit_exact"]
    np.savez(tmp_path / "x.npz", x=x)
    np.testing.assert_array_equal(read_samples(tmp_path / "x.npz", int8), x.astype(int) - 128)
    real = torch_result(module, preprocess, x)
    found = int8.tensors[int8.outputs[0]].q.dequantize(expected).reshape(40, 4)
    assert (found.argmax(1) == real.argmax(1)).mean() >= 0.9
    noise = float(np.square(found - real).sum() / np.square(real - real.mean(0)).sum())
    assert noise < 0.01, "20 dB at least"
    assert min(row.sqnr_db for row in sqnr(graph, int8, calibration)) > 20


def test_bytes_below_128_are_pixels_too(tmp_path: Path) -> None:
    """They would fit into int8 as they are: a dark picture must not be taken for a bright one."""
    _, graph = folded("valid", Preprocess(H, W, C, *IMAGENET))
    int8 = quantize(graph, on_bytes(graph, pictures(20)), input_quant=recorded_input_quant(graph))
    made = compile(int8, "cortex-m4", name="rgb", out=tmp_path)
    (found,) = made.samples(np.zeros((1, H, W, C), np.uint8)).values()
    np.testing.assert_array_equal(found, np.full((1, H, W, C), -128))


def test_a_float_firmware_takes_pixels_too(tmp_path: Path) -> None:
    preprocess = Preprocess(H, W, C, *IMAGENET)
    module, graph = folded("padded", preprocess)
    made = compile(graph, "cortex-m4", name="rgb", out=tmp_path)
    x = pictures(2)
    close(torch_result(module, preprocess, x), made.run(x).reshape(2, 4))


def test_the_centred_zero_beats_the_black_one() -> None:
    """Why `on_pixels` takes the mean's grey level off: with black as zero, weights' rounding shifts whole channels."""
    preprocess = Preprocess(H, W, C, *IMAGENET)
    module, centred = folded("valid", preprocess)
    black = Preprocess(H, W, C)
    weights = centred.nodes[0].inputs[1]
    level = Preprocess.from_json(centred.meta["preprocess"]).mean[0]
    kernel = centred.tensors[weights].data
    assert kernel is not None
    bias = centred.tensors[centred.nodes[0].inputs[2]]
    assert bias.data is not None
    moved = replace(bias, data=(bias.data - level * kernel.sum(axis=(1, 2, 3))).astype(np.float32))
    other = replace(
        centred, tensors={**centred.tensors, bias.name: moved}, meta={"preprocess": black.to_json()}
    )
    x = pictures(200, 3)
    close(torch_result(module, preprocess, x), run(other, on_bytes(other, x)).reshape(200, 4))

    def first_layer_noise(graph: Graph) -> float:
        int8 = quantize(graph, on_bytes(graph, x), input_quant=recorded_input_quant(graph))
        return sqnr(graph, int8, on_bytes(graph, x))[0].sqnr_db

    assert first_layer_noise(centred) > first_layer_noise(other)


# --- the pass, over all that the registry has ---


def affine_first(example: Example, seed: int) -> Graph:
    """An affine over the last axis in front of an example's first input."""
    shape, *constants = example.ins
    assert not isinstance(shape, np.ndarray)
    b = Builder(np.random.default_rng(seed))
    x, channels = b.input(*shape), shape[-1]
    normal = b.add(BatchNorm(), x, b.random(channels, size=1.5), b.random(channels, size=1.5))
    return b.graph(b.add(example.op, normal, *(b.constant(np.asarray(c)) for c in constants)))


def test_no_operator_changes_its_result() -> None:
    """Whatever says `folds_affine`, now or later, keeps its result; folding happens wherever nothing pads."""
    folds = 0
    for cls in REGISTRY.values():
        for i, example in enumerate(cls.examples()):
            if not cls.folds_affine or not isinstance(example, Example):
                continue
            graph = affine_first(example, i)
            after = verify(fold_affine_forward(graph))
            (feed,) = draw(graph, i)
            close(step_through(graph, feed)[graph.outputs[0]], step_through(after, feed)[after.outputs[0]])
            padded = not cls.whole_windows or np.any(getattr(example.op, "padding", 0))
            assert len(after.nodes) == (2 if padded else 1), (cls.name, example.why)
            folds += not padded
    assert folds >= 12


def test_every_filter_takes_the_channels_of_its_group() -> None:
    """Groups of channels and filters of different number, and several filters for each channel."""
    for op, weights in (
        (Conv2d(groups=2), (6, 3, 2, 3)),
        (Conv2d(groups=3), (3, 1, 2, 2)),
        (DepthwiseConv2d(), (1, 2, 2, 18)),
    ):
        rng = np.random.default_rng(0)
        filters = op.infer([Tensor("", (1, 4, 5, 6)), Tensor("", weights)])[0][-1]
        example = Example(op, ((1, 4, 5, 6), rng.normal(0, 1, weights), rng.normal(0, 1, filters)))
        graph = affine_first(example, 7)
        after = verify(fold_affine_forward(graph))
        assert len(after.nodes) == 1
        (feed,) = draw(graph, 8)
        close(step_through(graph, feed)[graph.outputs[0]], step_through(after, feed)[after.outputs[0]])


def test_only_the_one_reader_of_an_affine_takes_it() -> None:
    def start() -> tuple[Builder, str]:
        b = Builder()
        x = b.add(BatchNorm(), b.input(1, 4, 5, 3), b.random(3), b.random(3))
        return b, x

    b, x = start()
    two = b.graph(b.conv(x, 2, 1), b.conv(x, 3, 1))
    b, x = start()
    shown = b.graph(b.conv(x, 2, 1), x)
    b, x = start()
    b.nodes[-1] = replace(b.nodes[-1], op=BatchNorm(RELU))
    clamped = b.graph(b.conv(x, 2, 1))
    for graph in (two, shown, clamped):
        assert str(fold_affine_forward(graph)) == str(graph)


# --- the whole way ---

PROJECT = """
name = "colours"
[data]
format = "npz"
path = "data.npz"
[preprocess]
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
[model]
family = "{family}"
[train]
epochs = 8
batch_size = 16
learning_rate = 0.02
[quantize]
samples = 100
method = "minmax"
"""


@pytest.mark.slow
@pytest.mark.parametrize(("family", "stays"), [("mlp", False), ("lenet", True)])
def test_a_project_of_coloured_pictures(family: str, stays: bool, tmp_path: Path) -> None:
    """From pixels to firmware that takes pixels, with the normalisation that everybody copies."""
    from lilliput.demo import train

    x = pictures(400)
    np.savez(tmp_path / "data.npz", x=x, y=(x[..., 0].mean((1, 2)) > x[..., 2].mean((1, 2))).astype(np.int64))
    (tmp_path / "project.toml").write_text(PROJECT.format(family=family))
    out = tmp_path / "out"
    facts = train(tmp_path / "project.toml", out, console=Console(file=io.StringIO(), width=80))
    assert facts["validation"]["bit_exact"] is True
    metric = facts["metric"]
    assert metric["float"] > 0.8
    assert abs(metric["int8"] - metric["float"]) < 0.05
    firmware = open_build(out)
    assert isinstance(firmware.graph.nodes[0].op, BatchNorm) == stays
    sent = np.load(out / "test.npz")["x"]
    pixels = (sent.astype(np.int16) + 128).astype(np.uint8)
    assert (pixels[:, None] == x).all(axis=(2, 3, 4)).any(axis=1).all(), "the test samples are pixels of ours"
    np.testing.assert_array_equal(firmware.run(pixels[:20]), firmware.run(sent[:20], "host"))
    again = load(out / "colours-float.lil")
    small = quantize(
        again, read_samples(out / "calibration.npz", again), input_quant=recorded_input_quant(again)
    )
    assert small.tensors[small.inputs[0]].q.same(firmware.graph.tensors[firmware.graph.inputs[0]].quant)
