"""The rules of a graph, each broken once; printing; and what happens to tensors nobody uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from lilliput.errors import GraphError
from lilliput.graph import RULES, Graph, Node, Quant, Tensor, verify
from lilliput.op import Op
from lilliput.ops.binary import Add
from lilliput.ops.conv import Linear
from lilliput.ops.shape import Reshape
from small_graphs import Builder, int8, small_cnn


def chain() -> Graph:
    """x0 -> linear "first" -> linear "second"."""
    b = Builder()
    return b.graph(b.linear(b.linear(b.input(1, 4), 3, name="first"), 2, name="second"))


def with_tensor(graph: Graph, name: str, **changes: object) -> Graph:
    return replace(graph, tensors={**graph.tensors, name: replace(graph.tensors[name], **changes)})


def with_quant(scale: list[float], zero: list[int], axis: int | None = None) -> Graph:
    quant = Quant(np.array(scale, np.float32), np.array(zero, np.int32), axis)
    return with_tensor(int8(chain()), "y0", quant=quant)


def twice() -> Graph:
    g = chain()
    return replace(g, nodes=(*g.nodes, g.nodes[0]))


def overwrites_input() -> Graph:
    g = chain()
    return replace(g, nodes=(replace(g.nodes[0], outputs=("x0",)), g.nodes[1]))


def backwards() -> Graph:
    g = chain()
    return replace(g, nodes=tuple(reversed(g.nodes)))


def no_output() -> Graph:
    g = chain()
    tensors = {**g.tensors, "z": Tensor("z", (1, 2))}
    return replace(g, outputs=("z",), tensors=tensors)


def reads_itself() -> Graph:
    g = chain()
    return replace(g, nodes=(replace(g.nodes[0], inputs=("y1", *g.nodes[0].inputs[1:])), g.nodes[1]))


def writes_a_constant() -> Graph:
    g = chain()
    weights = g.nodes[0].inputs[1]
    return replace(
        g, nodes=(*g.nodes, Node(Reshape(g.tensors[weights].shape), (weights,), (weights,), "overwriting"))
    )


def wrong_bias() -> Graph:
    g = chain()
    bias = g.nodes[0].inputs[2]
    return with_tensor(g, bias, shape=(7,), data=np.zeros(7, np.float32))


def mixed_types() -> Graph:
    b = Builder()
    x = b.input(1, 4)
    b.tensors["other"] = Tensor("other", (1, 4), "int32")
    b.inputs.append("other")
    return b.graph(b.add(Add(), x, "other"))


def output_twice() -> Graph:
    return replace(chain(), outputs=("y1", "y1"))


def first(op: Op, *more: str) -> Graph:
    """The chain with another operator, or more operands, at its first node."""
    g = chain()
    return replace(g, nodes=(replace(g.nodes[0], op=op, inputs=(*g.nodes[0].inputs, *more)), g.nodes[1]))


def windowed(**attributes: object) -> Graph:
    b = Builder()
    g = b.graph(b.conv(b.input(1, 4, 4, 2), 2, 1, name="conv"))
    return replace(g, nodes=(replace(g.nodes[0], op=replace(g.nodes[0].op, **attributes)),))


def weight_quant(**changes: object) -> Graph:
    g = int8(chain())
    name = g.nodes[0].inputs[1]
    return with_tensor(g, name, quant=replace(g.tensors[name].quant, **changes))


def narrow_bias() -> Graph:
    g = int8(chain())
    name = g.nodes[0].inputs[2]
    return with_tensor(g, name, dtype="int8", quant=Quant.per_tensor(1.0, 0), data=np.zeros(3, np.int8))


def view_of_another_type() -> Graph:
    b = Builder()
    g = b.graph(b.add(Reshape((4,)), b.input(1, 4), name="view"))
    return with_tensor(g, "y0", dtype="int16")


def constant_nan() -> Graph:
    g = chain()
    name = g.nodes[0].inputs[1]
    return with_tensor(g, name, data=np.full((3, 4), np.nan, np.float32))


BROKEN: list[tuple[Callable[[], Graph], str, str]] = [
    (twice, "every tensor is written once", "tensor 'y0' is produced twice (second time by 'first')"),
    (overwrites_input, "every tensor is written once", "tensor 'x0' is produced twice"),
    (output_twice, "every tensor is written once", "a tensor is output of the graph twice: y1, y1"),
    (writes_a_constant, "every tensor is written once", "'overwriting' writes the constant 'c1'"),
    (backwards, "nothing is read before it is written", "'second' reads 'y0' before anything wrote it"),
    (reads_itself, "nothing is read before it is written", "'first' reads 'y1' before anything wrote it"),
    (no_output, "nothing is read before it is written", "output 'z' is never written"),
    (
        lambda: with_tensor(chain(), "y0", shape=(1, 5)),
        "operators and tensors agree on shapes",
        "layer 'first' (linear): gives ((1, 3),), but its tensors say ((1, 5),)",
    ),
    (
        lambda: with_tensor(chain(), "x0", dtype="complex64"),
        "tensors have the type and shape they claim",
        "tensor 'x0' has the unknown type complex64",
    ),
    (
        lambda: with_tensor(chain(), "x0", shape=(1, 0)),
        "tensors have the type and shape they claim",
        "tensor 'x0' has the empty shape (1, 0)",
    ),
    (
        lambda: with_tensor(chain(), chain().nodes[0].inputs[1], data=np.zeros((4, 3), np.float32)),
        "tensors have the type and shape they claim",
        "says float32(3, 4), its data are float32(4, 3)",
    ),
    (
        lambda: with_tensor(chain(), chain().nodes[0].inputs[1], data=np.zeros((3, 4))),
        "tensors have the type and shape they claim",
        "its data are float64(3, 4)",
    ),
    (
        lambda: with_tensor(chain(), "x0", quant=Quant.per_tensor(0.1, 0)),
        "quantization fits the type",
        "tensor 'x0' is float32 and yet quantized",
    ),
    (lambda: with_quant([0.0], [0]), "quantization fits the type", "'y0' has a scale that is not positive"),
    (lambda: with_quant([-1.0], [0]), "quantization fits the type", "'y0' has a scale that is not positive"),
    (
        lambda: with_quant([np.nan], [0]),
        "quantization fits the type",
        "'y0' has a scale that is not positive",
    ),
    (
        lambda: with_quant([np.inf], [0]),
        "quantization fits the type",
        "'y0' has a scale that is not positive",
    ),
    (lambda: with_quant([0.1], [128]), "quantization fits the type", "'y0' has a zero point outside int8"),
    (lambda: with_quant([0.1], [-129]), "quantization fits the type", "'y0' has a zero point outside int8"),
    (
        lambda: with_quant([0.1, 0.2], [0, 0], 1),
        "quantization fits the type",
        "'y0' has 2 scales along axis 1 of (1, 3)",
    ),
    (
        lambda: with_quant([0.1], [0], 2),
        "quantization fits the type",
        "'y0' has 1 scales along axis 2 of (1, 3)",
    ),
    (lambda: with_quant([0.1], [0], -1), "quantization fits the type", "along axis -1"),
    (
        lambda: with_quant([0.1, 0.2], [0, 0]),
        "quantization fits the type",
        "'y0' has 2 scales, 2 zero points and no axis",
    ),
    (
        lambda: with_quant([0.1], [0, 0]),
        "quantization fits the type",
        "'y0' has 1 scales, 2 zero points and no axis",
    ),
    (
        wrong_bias,
        "every operator accepts its operands",
        "layer 'first' (linear): bias has shape (7,), expected (3,)",
    ),
    (
        lambda: with_tensor(chain(), "x0", shape=(2**16, 2**15)),
        "tensors have the type and shape they claim",
        "'x0' (65536, 32768) takes 8589934592 bytes",
    ),
    (
        constant_nan,
        "tensors have the type and shape they claim",
        "constant 'c1' holds NaN or infinite values",
    ),
    (
        lambda: first(Linear(), "c1"),
        "operators have their operands",
        "layer 'first' (linear): has 4 inputs, expected 3",
    ),
    (lambda: first(Linear((np.nan, 1.0))), "attributes are in range", "clamp=(nan, 1.0) holds NaN"),
    (
        lambda: windowed(stride=(0, 1)),
        "attributes are in range",
        "layer 'conv' (conv2d): stride=(0, 1), expected at least 1",
    ),
    (lambda: windowed(dilation=(1, -1)), "attributes are in range", "dilation=(1, -1), expected at least 1"),
    (lambda: windowed(groups=0), "attributes are in range", "groups=0, expected at least 1"),
    (
        lambda: windowed(padding=((0, 0), (-1, 0))),
        "attributes are in range",
        "padding=((0, 0), (-1, 0)), expected at least 0",
    ),
    (
        lambda: windowed(stride=(1,)),
        "operators and tensors agree on shapes",
        "layer 'conv' (conv2d): its operands or attributes do not fit",
    ),
    (
        lambda: weight_quant(zero_point=np.array([1, 0, 0], np.int32)),
        "integers are quantized as the operator wants them",
        "layer 'first' (linear): weights 'c1@y0' need zero points of 0, found [1, 0, 0]",
    ),
    (
        lambda: with_tensor(int8(chain()), "y0", quant=None),
        "integers are quantized as the operator wants them",
        "layer 'first' (linear): int8 tensor 'y0' carries no quantization",
    ),
    (
        lambda: with_quant([0.1] * 3, [0] * 3, 1),
        "integers are quantized as the operator wants them",
        "layer 'first' (linear): 'y0' is quantized along axis 1, expected per tensor",
    ),
    (
        narrow_bias,
        "integers are quantized as the operator wants them",
        "the bias of an int8 result is int32, found int8",
    ),
    (
        view_of_another_type,
        "integers are quantized as the operator wants them",
        "layer 'view' (reshape): a view of float32 cannot be int16",
    ),
    (mixed_types, "every operator accepts its operands", "layer 'add_0' (add)"),
    (
        lambda: replace(chain(), inputs=(), states=(("x0", "y1"),)),
        "states are alike before and after",
        "state 'x0' is x0: float32[1×4] and becomes 'y1'",
    ),
]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda b: b[2])
def test_each_rule_names_what_broke_it(broken: tuple[Callable[[], Graph], str, str]) -> None:
    build, rule, message = broken
    with pytest.raises(GraphError) as error:
        verify(build())
    assert message in str(error.value)
    assert str(error.value).endswith(f"[rule: {rule}]")


def test_every_rule_is_broken_above() -> None:
    assert {rule for _, rule, _ in BROKEN} == set(RULES)


def test_verify_gives_the_graph_back() -> None:
    graph = small_cnn()
    assert verify(graph) is graph
    verify(int8(graph))


def test_a_printed_graph_reads_like_a_program() -> None:
    text = str(chain())
    assert text.splitlines() == [
        "graph(x0: float32[1×4])",
        "  y0: float32[1×3] = linear clamp=None(x0, float32[3×4], float32[3])  # first",
        "  y1: float32[1×2] = linear clamp=None(y0, float32[2×3], float32[2])  # second",
        "  return y1",
    ]
    assert "scalar" in str(Tensor("k", ()))
    assert str(Tensor("t", (2,), "int8", Quant.per_tensor(0.5, -3))) == "t: int8[2] 0.5·(q+3)"
    assert str(Tensor("t", (2,), "int8", Quant.per_tensor(0.5, 3))) == "t: int8[2] 0.5·(q-3)"
    per_channel = Quant(np.ones(2, np.float32), np.zeros(2, np.int32), 0)
    assert str(per_channel) == "per-channel[2] axis 0"


def test_with_nodes_drops_what_nobody_uses_and_keeps_inputs() -> None:
    b = Builder()
    x, unread = b.input(1, 4), b.input(1, 9)
    kept = b.linear(x, 3)
    dropped = b.linear(x, 5)
    graph = b.graph(kept)
    assert dropped in graph.tensors
    less = graph.with_nodes(n for n in graph.nodes if dropped not in n.outputs)
    assert dropped not in less.tensors
    assert len(less.tensors) == len(graph.tensors) - 3
    assert unread in less.tensors
    verify(less)
    added = Tensor("unused", (1,))
    assert "unused" not in graph.with_nodes(graph.nodes, {"unused": added}).tensors


def test_values_are_frozen() -> None:
    graph = chain()
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.outputs = ()  # type: ignore[misc]


def test_readers_are_counted_once_per_node() -> None:
    b = Builder()
    x = b.input(1, 4)
    graph = b.graph(b.add(Add(), x, x))
    assert [node.name for node in graph.consumers()[x]] == ["add_0"]
    assert graph.producer()["y0"] is graph.nodes[0]


def test_costs() -> None:
    graph = chain()
    assert graph.macs() == 3 * 4 + 2 * 3
    assert graph.weight_bytes() == 4 * (12 + 3 + 6 + 2)
    assert Tensor("t", (), "int16").nbytes == 2


def test_quantization_that_is_needed_and_missing_is_named() -> None:
    with pytest.raises(GraphError, match=r"tensor 'x0' .float32. carries no quantization"):
        _ = chain().tensors["x0"].q


def test_quant_equality_is_to_the_last_bit() -> None:
    a = Quant.per_tensor(0.1, 3)
    assert a.same(Quant.per_tensor(0.1, 3))
    assert not a.same(Quant.per_tensor(float(np.nextafter(np.float32(0.1), np.float32(1))), 3))
    assert not a.same(Quant.per_tensor(0.1, 4))
    assert not a.same(replace(a, axis=0))
    assert not a.same(None)


def test_dequantize_undoes_quantize_within_half_a_step_per_channel() -> None:
    quant = Quant(np.array([0.5, 0.01], np.float32), np.array([3, -100], np.int32), 1)
    real = np.array([[1.3, 0.021], [-7.0, 1.9]], np.float32)
    back = quant.dequantize(quant.quantize(real, "int8"))
    assert (np.abs(back - real) <= np.array([0.25, 0.005]) * 1.0001).all()
