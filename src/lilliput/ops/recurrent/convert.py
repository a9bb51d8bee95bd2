"""How torch's recurrent layers become ours: layers and directions are nodes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Quant, Tensor
from lilliput.importers.registry import aten, tflite
from lilliput.ops.recurrent import build
from lilliput.ops.recurrent.activations import RELU, TANH
from lilliput.ops.recurrent.common import Recurrent
from lilliput.ops.recurrent.gru import Gru
from lilliput.ops.recurrent.lstm import Lstm
from lilliput.ops.recurrent.rnn import Rnn
from lilliput.ops.shape import Transpose

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder


@aten("gru")
def gru(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    return _layers(b, call, Gru(), [call["hx"]])


@aten("rnn_tanh")
def rnn_tanh(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    return _layers(b, call, Rnn(activations=(TANH,)), [call["hx"]])


@aten("rnn_relu")
def rnn_relu(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    return _layers(b, call, Rnn(activations=(RELU,)), [call["hx"]])


@aten("lstm")
def lstm(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    return _layers(b, call, Lstm(), list(call["hx"]))


def _layers(b: TorchBuilder, call: Call, kind: Recurrent, starts: Sequence[Any]) -> tuple[Value, ...]:
    """(y, final states [layers x directions, N, H])."""
    if call.get("batch_sizes") is not None or "input" not in call.arguments:
        raise UserError(f"layer '{b.where}': packed sequences are not supported; pass padded ones")
    if call["train"] and call["dropout"]:
        raise UserError(f"layer '{b.where}': dropout in training mode cannot be compiled; call model.eval()")
    x = b.value(call["input"])
    if len(x.order) != 3:
        raise UserError(
            f"layer '{b.where}': the input has {len(x.order)} dimensions, expected 3: give a batch of 1"
        )
    x = b.reorder(x, (0, 1, 2) if call["batch_first"] else (1, 0, 2))
    directions = 2 if call["bidirectional"] else 1
    initial = [b.value(s) for s in starts]
    each = 4 if call["has_biases"] else 2
    params = list(call["params"])
    if len(params) != each * directions * call["num_layers"]:
        raise UserError(
            f"layer '{b.where}': {len(params)} weights, expected {each} for each layer and direction; "
            "a projection (proj_size) is not supported"
        )
    finals: list[list[Value]] = [[] for _ in starts]
    for layer in range(call["num_layers"]):
        ys = []
        for direction in range(directions):
            k = layer * directions + direction
            data = [b.data(p) for p in params[k * each : (k + 1) * each]]
            y, *states = _direction(
                b, kind, x, data, [build.state_of(b, s, k) for s in initial], direction == 1
            )
            ys.append(y)
            for kept, state in zip(finals, states, strict=True):
                kept.append(state)
        x = build.side_by_side(b, ys)
    return (x, *(build.stacked(b, states) for states in finals))


def _direction(
    b: TorchBuilder, kind: Recurrent, x: Value, data: Sequence[Any], states: Sequence[Value], reverse: bool
) -> tuple[Value, ...]:
    w, r = data[:2]
    none = np.zeros(len(w), np.float32)
    bias = build.bias(kind.name, *(data[2:] or (none, none)))
    op = replace(kind, hidden=int(r.shape[1]), reverse=reverse)
    return build.add_direction(b, op, x, build.Weights(w, r, bias), states, None)


WEIGHTS, RECURRENT, PEEPHOLES, BIASES, PROJECTION, STATE, CELL, NORMS = 1, 5, 9, 12, 16, 18, 19, 20
"""Places of TensorFlow Lite's operands; the gates are input, forget, cell, output, as ours."""


@tflite("UNIDIRECTIONAL_SEQUENCE_LSTM")
def tflite_lstm(b: TfliteBuilder, o: TfliteOperator) -> None:
    """TFLM's limits are ours: no peepholes, projection, layer normalization or coupled gates."""
    for first, last, what in (
        (PEEPHOLES, BIASES, "peepholes"),
        (PROJECTION, STATE, "a projection"),
        (NORMS, 24, "layer normalization"),
    ):
        if any(b.has(o, i) for i in range(first, last)):
            raise UserError(f"{b.where(o)}: {what} is not supported, neither is it by TensorFlow Lite Micro")
    if o.options["fused_activation"] != "TANH":
        raise UserError(f"{b.where(o)}: the activation is {o.options['fused_activation']}, expected TANH")
    if o.options["diagonal_recurrent_tensors"]:
        raise UserError(f"{b.where(o)}: diagonal recurrent weights are not supported")
    if not b.has(o, WEIGHTS):
        raise UserError(f"{b.where(o)}: coupled gates (no weights of the input gate) are not supported")
    x, h, c, y = b.tensor(o, 0), b.tensor(o, STATE), b.tensor(o, CELL), b.output(o)
    if len(x.shape) != 3:
        raise UserError(f"{b.where(o)}: the input has the shape {x.shape}, expected three dimensions")
    steps_first = bool(o.options["time_major"])
    n, t = (x.shape[1], x.shape[0]) if steps_first else x.shape[:2]
    op = Lstm(hidden=h.shape[-1], cell_clip=float(cast(float, o.options["cell_clip"])))
    inputs = [
        _turned(b, o, x, "x") if steps_first else x.name,
        _joined(b, o, WEIGHTS),
        _joined(b, o, RECURRENT),
        _joined(b, o, BIASES),
        h.name,
        c.name,
        b.constant(o, np.full(n, t, np.int32)),
    ]
    outputs = [y.name]
    if steps_first:
        outputs = [f"{y.name}.turned"]
        b.tensors[outputs[0]] = replace(y, name=outputs[0], shape=(n, t, y.shape[2]))
    for state in (h, c):
        if state.constant or any(state.name == before for before, _ in b.states):
            raise UserError(f"{b.where(o)}: its state '{state.name}' must be a variable of its own")
        outputs.append(f"{state.name}.after")
        b.tensors[outputs[-1]] = replace(state, name=outputs[-1])
        b.states.append((state.name, outputs[-1]))
    b.add(o, op, tuple(inputs), tuple(outputs))
    if steps_first:
        b.add(o, Transpose((1, 0, 2)), (outputs[0],), (y.name,))


def _turned(b: TfliteBuilder, o: TfliteOperator, x: Tensor, what: str) -> str:
    """The input with the samples before the steps."""
    name = f"o{o.index}.{what}"
    t, n, i = x.shape
    b.tensors[name] = replace(x, name=name, shape=(n, t, i))
    b.add(o, Transpose((1, 0, 2)), (x.name,), (name,))
    return name


def _joined(b: TfliteBuilder, o: TfliteOperator, first: int) -> str:
    """Four gates' weights or biases as one constant, quantized row by row."""
    gates = [b.tensor(o, first + i) for i in range(4)]
    data = np.concatenate([b.data(o, first + i) for i in range(4)])
    if any(t.quant is None for t in gates) or data.ndim == 1:
        return b.constant(o, data)
    scales = np.concatenate([np.broadcast_to(t.q.scale, len(t.data)) for t in gates if t.data is not None])
    zeros = np.concatenate(
        [np.broadcast_to(t.q.zero_point, len(t.data)) for t in gates if t.data is not None]
    )
    return b.constant(o, data, Quant(scales.astype(np.float32), zeros.astype(np.int32), 0))
