"""Channels, taps and clamps removed offline, one case at a time: what goes, what has to stay, and why."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from doctored import assert_same, integers
from lilliput.errors import CheckError
from lilliput.examples import draw, ranges_of
from lilliput.graph import Array, Graph, Node, Quant, Tensor, verify
from lilliput.op import Op
from lilliput.ops.binary import Add
from lilliput.ops.conv import Conv2d, Linear
from lilliput.ops.shape import Reshape
from lilliput.passes.channel_report import ChannelReport
from lilliput.passes.constant_channels import META, Reduced, check_same, reduced
from lilliput.passes.liveness import OUTSIDE
from lilliput.quantize import quantize
from lilliput.store import load, save
from small_graphs import RELU, SAME, Builder, small_cnn


def layer(
    op: Op, x: str, w: Array, bias: list[int], y: str, name: str, scale: float = 0.02
) -> tuple[Node, list[Tensor]]:
    """An int8 layer with weights and bias given as integers."""
    channels = len(bias)
    axis = op.weights[1]
    quant = Quant(np.full(channels, 0.01, np.float32), np.zeros(channels, np.int32), axis)
    tensors = [
        Tensor(f"{name}.w", w.shape, "int8", quant, w.astype(np.int8)),
        Tensor(f"{name}.b", (channels,), "int32", None, np.array(bias, np.int32)),
        Tensor(y, (), "int8", Quant.per_tensor(scale, -128)),
    ]
    return Node(op, (x, f"{name}.w", f"{name}.b"), (y,), name), tensors


def chain(x: tuple[int, ...], *layers: tuple[Op, Array, list[int]]) -> Graph:
    """Such layers one behind the other: x -> t0 -> t1 ...; the inputs' zero point is 0, the others' -128."""
    tensors = {"x": Tensor("x", x, "int8", Quant.per_tensor(0.02, 0))}
    nodes: list[Node] = []
    source = "x"
    for i, (op, w, bias) in enumerate(layers):
        node, made = layer(op, source, w, bias, f"t{i}", f"layer{i}")
        (shape,) = op.infer([tensors[source], *made[:2]])
        tensors.update({t.name: t for t in (*made[:2], replace(made[2], shape=shape))})
        nodes.append(node)
        source = f"t{i}"
    return verify(Graph(("x",), (source,), tuple(nodes), tensors))


def weights(*shape: int, seed: int = 0) -> Array:
    w = np.random.default_rng(seed).integers(-100, 100, shape)
    return np.where(w == 0, 1, w)


ZERO, FIVE = -(1 << 20), 500
"""Biases of channels without weights: the result is real zero, and 5 steps above it."""


def with_constant(bias: int) -> tuple[Array, list[int]]:
    """A pointwise layer of three channels, the second of which has no weights."""
    w = weights(3, 1, 1, 2)
    w[1] = 0
    return w, [40, bias, -7]


def check(graph: Graph) -> Reduced:
    made = reduced(graph)
    assert_same(graph, made, draw(graph, 1, 5))
    return made


def test_zero_goes_through_padding() -> None:
    made = check(
        chain(
            (1, 4, 4, 2),
            (Conv2d(), *with_constant(ZERO)),
            (Conv2d(padding=SAME), weights(2, 3, 3, 3), [0, 9]),
        )
    )
    assert made.kept["t0"].tolist() == [0, 2]
    assert made.graph.tensors["t0"].shape == (1, 4, 4, 2)


def test_another_constant_goes_into_the_bias_of_whole_windows() -> None:
    made = check(
        chain((1, 4, 4, 2), (Conv2d(), *with_constant(FIVE)), (Conv2d(), weights(2, 3, 3, 3), [0, 9]))
    )
    assert made.kept["t0"].tolist() == [0, 2]
    bias = made.graph.tensors[made.graph.nodes[1].inputs[2]].data
    assert bias is not None
    assert bias.tolist() != [0, 9]


def test_another_constant_stays_where_padding_takes_its_place() -> None:
    made = check(
        chain(
            (1, 4, 4, 2),
            (Conv2d(), *with_constant(FIVE)),
            (Conv2d(padding=SAME), weights(2, 3, 3, 3), [0, 9]),
        )
    )
    assert made.kept["t0"].tolist() == [0, 1, 2]
    (stayed,) = made.report.layers[0].stayed.items()
    assert stayed == (
        "constant, but at the border or by its size it does not fit the bias of layer 'layer1'",
        1,
    )


def test_padding_that_only_meets_zero_weights_is_no_border() -> None:
    w = weights(2, 3, 3, 3)
    w[:, :, :, 1] = 0
    w[:, 1, 1, 1] = 77
    made = check(chain((1, 4, 4, 2), (Conv2d(), *with_constant(FIVE)), (Conv2d(padding=SAME), w, [0, 9])))
    assert made.kept["t0"].tolist() == [0, 2]


def test_a_bias_that_would_overflow_keeps_its_constant() -> None:
    first, second = with_constant(FIVE), weights(2, 1, 1, 3)
    for bias, left in (([2**31 - 3, 0], [0, 1, 2]), ([2**31 - 2000, 0], [0, 2])):
        assert (
            check(chain((1, 4, 4, 2), (Conv2d(), *first), (Conv2d(), second, bias))).kept["t0"].tolist()
            == left
        )


def test_a_channel_that_nobody_weighs_goes_and_so_does_what_feeds_it() -> None:
    second, third = weights(3, 1, 1, 3), weights(2, 3, 3, 3)
    third[..., 2] = 0  # so nobody needs channel 2 of t1, the only one to need channel 0 of t0
    second[:2, ..., 0] = 0
    made = check(
        chain(
            (1, 4, 4, 2),
            (Conv2d(), weights(3, 1, 1, 2, seed=3), [1, 2, 3]),
            (Conv2d(), second, [5000, 5001, 5002]),
            (Conv2d(padding=SAME), third, [7, 8]),
        )
    )
    assert made.kept["t1"].tolist() == [0, 1]
    assert made.kept["t0"].tolist() == [1, 2]
    assert [found.dead for found in made.report.layers[:2]] == [1, 1]


def test_a_constant_result_that_stays_needs_no_inputs() -> None:
    """All of an output is needed; a constant channel of it weighs nothing, so what only it weighs goes."""
    second = weights(2, 1, 1, 3)
    second[0, ..., 0] = 0
    made = check(
        chain((1, 4, 4, 2), (Conv2d(), weights(3, 1, 1, 2), [1, 2, 3]), (Conv2d(), second, [4, -(1 << 24)]))
    )
    assert made.kept["t0"].tolist() == [1, 2]
    assert made.kept["t1"].tolist() == [0, 1]


def test_one_channel_is_always_left() -> None:
    made = check(
        chain(
            (1, 4, 4, 2),
            (Conv2d(), np.zeros((3, 1, 1, 2)), [FIVE, ZERO, 7]),
            (Conv2d(), weights(2, 3, 3, 3), [0, 9]),
        )
    )
    assert made.graph.tensors["t0"].shape == (1, 4, 4, 1)


def test_equal_channels_become_one() -> None:
    first = weights(3, 3, 3, 2)
    first[2] = first[0]
    second = np.clip(weights(2, 1, 1, 3), -60, 60)
    bias = [5, 6, 5]
    made = check(chain((1, 6, 6, 2), (Conv2d(), first, bias), (Conv2d(), second, [0, 9])))
    assert made.kept["t0"].tolist() == [0, 1]
    assert made.report.layers[0].equal == 1
    second[0, 0, 0] = [100, 1, 100]  # the sum fits no int8
    assert (
        check(chain((1, 6, 6, 2), (Conv2d(), first, bias), (Conv2d(), second, [0, 9]))).kept["t0"].size == 3
    )


def test_places_of_a_plane_are_no_equal_channels() -> None:
    """Behind a flattening the same channel at two places is two features."""
    b = Builder()
    flat = b.add(Reshape((1, 12)), b.add(Conv2d(), b.input(1, 2, 2, 3), b.random(3, 1, 1, 3), b.random(3)))
    graph = b.graph(b.linear(flat, 4))
    graph = quantize(graph, ranges=ranges_of(graph, 0))
    assert check(graph).kept[graph.nodes[1].outputs[0]].size == 12


def test_a_flattened_channel_goes_from_every_place() -> None:
    b = Builder()
    w, bias = np.ones((3, 1, 1, 2), np.float32), np.array([0.1, -60, 0.2], np.float32)
    x = b.add(Conv2d(clamp=RELU), b.input(1, 2, 2, 2), b.constant(w), b.constant(bias))
    flat = b.add(Reshape((1, 12)), x)
    graph = b.graph(b.linear(flat, 4))
    graph = quantize(graph, ranges=ranges_of(graph, 0))
    assert check(graph).kept[graph.nodes[1].outputs[0]].tolist() == [0, 2, 3, 5, 6, 8, 9, 11]


@pytest.mark.parametrize(("shape", "left"), [((1, 6, 8), 8), ((1, 2, 24), 20), ((1, 16, 3), 2)])
def test_views_of_channels(shape: tuple[int, ...], left: int) -> None:
    """12 channels, 2 of them dead, of 4 pixels; nobody weighs the first feature. 24 features are whole pixels, 3 are
    every third channel, 8 mix them all."""
    b = Builder()
    bias = np.where(np.arange(12) < 2, -60, 1).astype(np.float32)
    x = b.add(Conv2d(clamp=RELU), b.input(1, 2, 2, 2), b.random(12, 1, 1, 2, size=0.1), b.constant(bias))
    flat = b.add(Reshape(shape), x)
    w = b.rng.normal(0, 0.4, (4, shape[-1])).astype(np.float32)
    w[:, 0] = 0
    graph = b.graph(b.add(Linear(), flat, b.constant(w), b.random(4)))
    graph = quantize(graph, ranges=ranges_of(graph, 0))
    assert check(graph).kept[flat].size == left


def test_both_sides_of_a_residual_keep_the_same_channels() -> None:
    b = Builder()
    x = b.input(1, 3, 3, 2)
    dead = np.array([0.3, -60, -60], np.float32)
    left = b.add(Conv2d(clamp=RELU), x, b.random(3, 1, 1, 2), b.constant(dead))
    right = b.add(Conv2d(clamp=RELU), left, b.random(3, 1, 1, 3), b.constant([0.1, 0.2, -60]))
    graph = b.graph(b.conv(b.add(Add(), left, right), 2, 1))
    graph = quantize(graph, ranges=ranges_of(graph, 0))
    made = check(graph)
    names = [node.outputs[0] for node in graph.nodes[:3]]
    assert [made.kept[name].tolist() for name in names] == [[0, 1]] * 3
    assert made.report.layers[0].stayed == {"layer 'conv2d_3' weighs it": 1}


def test_a_window_on_one_pixel_is_its_middle() -> None:
    made = check(chain((1, 1, 1, 2), (Conv2d(padding=SAME), weights(3, 3, 3, 2), [1, 2, 3])))
    assert made.graph.nodes[0].op == Conv2d()
    assert made.graph.macs() == 6


@pytest.mark.parametrize(
    ("rows", "padding", "stride", "left"),
    [
        ([0], (1, 1), 1, 2),  # the first row of taps is zero: the padding above goes with it
        ([0], (0, 1), 1, 3),  # without padding above, cutting it would move the window
        ([2], (0, 0), 1, 3),  # without padding below, one result more would fit
        ([2], (0, 0), 2, 2),  # but not in steps of two
        ([0, 2], (1, 1), 2, 1),
        ([0, 1, 2], (1, 1), 1, 1),
        ([0, 1, 2], (0, 2), 1, 1),
        ([0, 1, 2], (0, 1), 1, 2),  # all zero: as much as the padding allows
    ],
)
def test_zero_taps_at_the_edge_of_a_window(
    rows: list[int], padding: tuple[int, int], stride: int, left: int
) -> None:
    w = weights(2, 3, 1, 2)
    w[:, rows] = 0
    op = Conv2d((stride, 1), (padding, (0, 0)))
    made = check(chain((1, 6 + (stride == 2), 4, 2), (op, w, [1, 2])))
    found = made.graph.tensors[made.graph.nodes[0].inputs[1]].shape[1]
    assert found == left


def test_clamps_that_never_act_are_dropped() -> None:
    w = weights(2, 1, 1, 2)
    small = np.ones((2, 1, 1, 2), np.int64)
    made = check(
        chain((1, 3, 3, 2), (Conv2d(clamp=(0.0, 1.0)), w, [0, 0]), (Conv2d(clamp=(0.0, 2.0)), small, [0, 0]))
    )
    clamps = [getattr(node.op, "clamp", None) for node in made.graph.nodes]
    assert clamps == [(0.0, 1.0), None]
    assert made.report.idle_clamps == 1


def test_two_layers_that_share_weights_are_cut_apart() -> None:
    b = Builder()
    x, w, bias = b.input(1, 3, 3, 3), b.random(3, 1, 1, 3), b.constant([0.1, -60, 0.2])
    first = b.add(Conv2d(clamp=RELU), x, w, bias)
    graph = b.graph(b.conv(b.add(Conv2d(clamp=RELU), first, w, bias), 2, 1))
    graph = quantize(graph, ranges=ranges_of(graph, 0))
    made = check(graph)
    assert made.kept[first].tolist() == [0, 2]
    assert made.graph.tensors[made.graph.nodes[0].inputs[1]].shape == (2, 1, 1, 3)
    assert made.graph.tensors[made.graph.nodes[1].inputs[1]].shape == (2, 1, 1, 2)


def test_what_a_state_becomes_stays_whole() -> None:
    graph = chain((1, 4, 4, 2), (Conv2d(), *with_constant(ZERO)), (Conv2d(), weights(2, 3, 3, 3), [0, 9]))
    first, second = graph.nodes
    tensors = dict(graph.tensors) | {
        name: replace(graph.tensors["t0"], name=name) for name in ("before", "sum")
    }
    added = Node(Add(), ("t0", "before"), ("sum",), "add")
    nodes = (first, added, replace(second, inputs=("sum", *second.inputs[1:])))
    made = check(verify(Graph(("x",), ("t1",), nodes, tensors, {}, (("before", "t0"),))))
    assert made.kept["t0"].size == 3
    assert OUTSIDE in made.report.layers[0].stayed


def test_a_graph_that_computes_nothing() -> None:
    t = Tensor("t", (3,), "int8", Quant.per_tensor(1.0, 0), np.array([1, 2, 3], np.int8))
    made = check(verify(Graph(("x",), ("t",), (), {"x": replace(t, name="x", data=None), "t": t})))
    assert not made.report.changed


def test_a_difference_is_told() -> None:
    graph = chain((1, 4, 4, 2), (Conv2d(), *with_constant(FIVE)), (Conv2d(), weights(2, 3, 3, 3), [0, 9]))
    made = reduced(graph)
    bias = made.graph.nodes[1].inputs[2]
    wrong = replace(made.graph.tensors[bias], data=np.array([0, 9], np.int32))
    broken = replace(made, graph=replace(made.graph, tensors={**made.graph.tensors, bias: wrong}))
    with pytest.raises(CheckError, match="'t1' differs"):
        check_same(graph, broken, draw(graph, 1)[0])


# --- the report ---


def test_the_report_travels_with_the_model(tmp_path: Path) -> None:
    graph = integers(1)
    made = reduced(graph)
    assert made.report.layers
    save(made.graph, tmp_path / "model.lil")
    kept = load(tmp_path / "model.lil")
    assert ChannelReport.from_json(kept.meta[META]) == made.report
    assert ChannelReport.from_json(json.loads(json.dumps(made.report.to_json()))) == made.report
    again = reduced(kept).graph
    assert again.meta[META] == kept.meta[META], "what was removed earlier stays known"


@pytest.mark.parametrize("wrong", [{}, {"layers": [{}]}, {"layers": 3}, {"channels": 1, "layers": []}])
def test_another_record_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no record"):
        ChannelReport.from_json(wrong)


def test_float_graphs_stay_as_they_are() -> None:
    graph = small_cnn()
    made = reduced(graph)
    assert [str(node.op) for node in made.graph.nodes] == [str(node.op) for node in graph.nodes]
    assert made.graph.tensors == graph.tensors
