"""Recurrent layers: torch's compute the same, whatever their layers and directions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from batch import Case, host_models, same
from lilliput import store
from lilliput.errors import GraphError, UserError
from lilliput.evaluate import advance, reset, run, step_through
from lilliput.examples import draw, float_graph, ranges_of
from lilliput.firmware import compile, open_build
from lilliput.graph import Graph, verify
from lilliput.loading import load
from lilliput.ops.recurrent import Gru, Lstm, Rnn
from lilliput.ops.recurrent.common import Recurrent
from lilliput.passes.states import stateful
from lilliput.plan import plan
from lilliput.quantize import quantize
from shared import shared

LAYERS = {
    "gru": lambda **k: nn.GRU(5, 7, **k),
    "lstm": lambda **k: nn.LSTM(5, 7, **k),
    "rnn": lambda **k: nn.RNN(5, 7, **k),
    "relu": lambda **k: nn.RNN(5, 7, nonlinearity="relu", **k),
}


class Tagger(nn.Module):
    """All steps, and the final states, of a recurrent layer; `swap` feeds a layer that wants the steps first."""

    def __init__(self, layer: nn.RNNBase) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y, h = self.layer(x if self.layer.batch_first else x.transpose(0, 1))
        return (y, *(h if isinstance(h, tuple) else (h,)))


@pytest.mark.parametrize(
    ("layers", "bidirectional", "bias"), [(1, False, True), (2, True, True), (2, False, False)]
)
@pytest.mark.parametrize("kind", LAYERS)
def test_torch_layers_compute_the_same(kind: str, layers: int, bidirectional: bool, bias: bool) -> None:
    torch.manual_seed(3)
    layer = LAYERS[kind](num_layers=layers, bidirectional=bidirectional, batch_first=bias, bias=bias)
    module = Tagger(layer).eval()
    x = torch.randn(1, 6, 5)
    graph = load(module, x)
    assert sum(len(node.outputs) > 1 for node in graph.nodes) == layers * (1 + bidirectional)
    with torch.no_grad():
        expected = [v.numpy() for v in module(x)]
    (model,) = host_models([Case(kind, plan(graph))])
    found = model.run({graph.inputs[0]: x.numpy()})
    for name, value in zip(graph.outputs, expected, strict=True):
        assert same(value, found[name]), f"{name} differs"
    assert same(expected[0], run(graph, x.numpy()))


class Classifier(nn.Module):
    """Its result is that after the last step."""

    def __init__(self, layer: nn.RNNBase, classes: int) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(layer.hidden_size, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.layer(x)[0][:, -1])


def over(graph: Graph, steps: int) -> Graph:
    """The same layers, constants and quantization for sequences of another length."""
    tensors = dict(graph.tensors)
    first = graph.tensors[graph.inputs[0]]
    tensors[first.name] = replace(first, shape=(1, steps, *first.shape[2:]))
    nodes = []
    for node in graph.nodes:
        ins = [tensors[i] for i in node.inputs]
        if node.op.states:
            (k,) = (i for i, t in enumerate(ins) if t.dtype == "int32")
            ins[k] = replace(ins[k], name=f"{ins[k].name}.{node.name}", data=np.array([steps], np.int32))
            tensors[ins[k].name] = ins[k]
        for name, shape in zip(node.outputs, node.op.infer(ins), strict=True):
            tensors[name] = replace(tensors[name], shape=shape)
        nodes.append(replace(node, inputs=tuple(t.name for t in ins)))
    return replace(graph, nodes=tuple(nodes), tensors=tensors)


@pytest.mark.slow
@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_one_call_over_all_steps_equals_a_call_for_each(kind: str, integer: bool, tmp_path: Path) -> None:
    """In numpy, on the host and on an emulated core; a reset starts a new sequence."""
    torch.manual_seed(4)
    module = Classifier({"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}[kind](5, 8, 2, batch_first=True), 3)
    x = torch.randn(12, 7, 5)
    whole = load(module, x[:1])
    samples = x.numpy()
    if integer:
        whole = quantize(whole, samples)
    one = stateful(over(whole, 1))
    assert len(one.states) == (4 if kind == "lstm" else 2)
    store.save(one, tmp_path / "one.lil")
    one = store.load(tmp_path / "one.lil")
    firmware = compile(one, "cortex-m4", name=kind, out=tmp_path / "one")
    assert firmware.profile()["ram"]["arena"] == firmware.plan.arena + firmware.plan.state_size
    all_at_once = compile(whole, "cortex-m4", name=kind, out=tmp_path / "whole")
    for sample in samples[:3]:
        stream = sample[:, None]  # each step is a sample of its own
        expected = all_at_once.run(sample[None])
        for on in ("host", "emulator"):
            found = firmware.run(stream, on=on, keep_state=True)
            assert found[-1:].tobytes() == expected.tobytes(), f"{on} differs"
        assert same(expected, run(one, stream, keep_state=True)[-1:])
        if integer:
            assert np.array_equal(expected, run(whole, sample[None]))
    again = open_build(tmp_path / "one").run(stream, keep_state=True)
    assert np.array_equal(again[-1:], expected)
    fresh = firmware.run(stream, on="emulator")
    assert np.array_equal(fresh[0], firmware.run(stream, on="host")[0])
    assert not np.array_equal(fresh[-1:], expected), "the state made no difference"
    assert firmware.validate(stream)["bit_exact"]


class Ends(nn.Module):
    """Reads the last step in one of several ways."""

    def __init__(self, how: str) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.how = how
        self.layer = nn.GRU(4, 6, 2, batch_first=True, bidirectional=how == "both")
        self.head = nn.Linear(12 if how == "both" else 6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, h = self.layer(x)
        if self.how == "both":
            return self.head(torch.cat([h[-2], h[-1]], 1))
        return self.head(
            {"step": y[:, -1], "narrow": y[:, -1:].flatten(1), "state": h[-1], "first": y[:, 0]}[self.how]
        )


@pytest.mark.parametrize(
    ("how", "short"), [("step", 1), ("narrow", 1), ("state", 1), ("both", 2), ("first", 0)]
)
def test_only_the_last_step_is_kept_where_nobody_reads_others(how: str, short: int) -> None:
    module, x = Ends(how).eval(), torch.randn(8, 9, 4)
    graph = load(module, x[:1])
    found = [s.op.last for s in graph.sites() if s.op.states]  # type: ignore[attr-defined]
    assert sum(found) == short, f"{found}\n{graph}"
    with torch.no_grad():
        expected = module(x).numpy()
    assert same(expected, run(graph, x.numpy()))
    integer = quantize(graph, x.numpy())
    q = integer.tensors[integer.outputs[0]].q
    # int8 in and out, weights rounded: a few steps of the result.
    np.testing.assert_allclose(q.dequantize(run(integer, x.numpy())), expected, rtol=0, atol=6 * float(q.s))


@pytest.mark.parametrize("integer", [False, True])
@pytest.mark.parametrize("op", [Gru, Lstm, Rnn])
def test_states_that_were_inputs_and_outputs_become_state(op: type[Recurrent], integer: bool) -> None:
    example = op.case(np.random.default_rng(1), 1, 3, 4, 5, "given", state=True)
    graph = float_graph(example)
    if integer:
        graph = quantize(graph, ranges=ranges_of(graph, 1))
    kept = stateful(graph)
    assert kept.inputs == ("x0",)
    assert kept.outputs == ("y0",)
    assert len(kept.states) == len(op.states)
    assert not any(node.op.name == "quantize" for node in kept.nodes)
    feed = draw(kept, 3)[0]
    zero = {name: reset(graph.tensors[name]) for name in graph.inputs if name not in kept.inputs}
    first, state = advance(kept, feed, {})
    assert np.array_equal(first["y0"], step_through(graph, feed | zero)["y0"])
    second, _ = advance(kept, feed, state)
    assert not np.array_equal(first["y0"], second["y0"])


def test_what_cannot_be_carried_on_is_refused() -> None:
    rng = np.random.default_rng(2)
    backwards = float_graph(Gru.case(rng, 1, 3, 4, 5, "", reverse=True))
    with pytest.raises(UserError, match="from the end"):
        stateful(backwards)
    graph = float_graph(Gru.case(rng, 1, 3, 4, 5, ""))
    start = graph.nodes[0].inputs[4]
    other = replace(graph.tensors[start], data=np.ones((1, 5), np.float32))
    with pytest.raises(UserError, match="other than zero"):
        stateful(replace(graph, tensors={**graph.tensors, start: other}))
    once = stateful(graph)
    with pytest.raises(UserError, match="no layer with states"):
        stateful(once)
    with pytest.raises(UserError, match="quantize it first"):
        quantize(once, np.zeros((2, 3, 4), np.float32))
    broken = replace(once, states=((once.states[0][0], once.nodes[0].outputs[0]),))
    with pytest.raises(GraphError, match="must be alike"):
        verify(broken)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_int8_loses_less_than_half_a_point_on_people_it_has_not_seen(kind: str) -> None:
    """Activities from a watch: 50 steps of 6 values; the subjects of the test set are others."""
    with np.load(shared("data/har/har_watch_windows_50hz.npz")) as file:
        x, y, test = file["x"].astype(np.float32), file["y"].astype(np.int64), file["is_test"]
    x = (x - x[~test].mean((0, 1))) / x[~test].std((0, 1))
    torch.manual_seed(0)
    layer: nn.RNNBase = nn.GRU(6, 32, batch_first=True) if kind == "gru" else nn.LSTM(6, 32, batch_first=True)
    module = Classifier(layer, 5)
    optimizer = torch.optim.Adam(module.parameters(), 5e-3)
    inputs, labels = torch.tensor(x[~test]), torch.tensor(y[~test])
    for _ in range(8):
        for batch in torch.randperm(len(inputs)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(inputs[batch]), labels[batch]).backward()
            nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
    graph = load(module.eval(), inputs[:1])
    integer = quantize(graph, x[~test][::4])
    real = float((run(graph, x[test]).argmax(1) == y[test]).mean())
    found = float((run(integer, x[test]).argmax(1) == y[test]).mean())
    assert real > 0.9, f"the float model is right in {real:.1%} only"
    assert real - found < 0.005, f"float {real:.2%}, int8 {found:.2%}"


def test_a_module_may_take_the_steps_first() -> None:
    """torch's default [T, 1, I]; the graph's input is [1, T, I], so that samples stack along dimension 0."""
    torch.manual_seed(6)
    layer, steps_first = nn.LSTM(4, 6).eval(), torch.randn(5, 1, 4)
    graph = load(layer, steps_first)
    assert graph.tensors[graph.inputs[0]].shape == (1, 5, 4)
    with torch.no_grad():
        expected = layer(steps_first)[0].numpy()
    (found,) = run(graph, steps_first.transpose(0, 1).numpy())
    assert same(expected, found)
