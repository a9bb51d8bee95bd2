"""Recurrent layers, both directions, and layers that are applied to every step."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.builder import Value
from lilliput.importers.keras.activations import function_name, scaled
from lilliput.importers.keras.builder import kind_of
from lilliput.importers.keras.registry import keras
from lilliput.op import Op
from lilliput.ops.binary import Add, Mul
from lilliput.ops.binary.convert import apply
from lilliput.ops.recurrent import build
from lilliput.ops.recurrent.activations import Function
from lilliput.ops.recurrent.common import Recurrent
from lilliput.ops.recurrent.gru import Gru
from lilliput.ops.recurrent.lstm import Lstm
from lilliput.ops.recurrent.rnn import Rnn
from lilliput.ops.shape import Concat
from lilliput.ops.shape.importing import region, view_as

if TYPE_CHECKING:
    from lilliput.importers.keras.builder import KerasBuilder, Layer

FUNCTIONS: dict[str, Function] = {
    "linear": ("affine", 1.0, 0.0),
    "tanh": ("tanh", 0.0, 0.0),
    "sigmoid": ("sigmoid", 0.0, 0.0),
    "relu": ("relu", 0.0, 0.0),
    "leaky_relu": ("leaky_relu", 0.2, 0.0),
    "hard_sigmoid": ("hard_sigmoid", 1 / 6, 0.5),
    "elu": ("elu", 1.0, 0.0),
    "softsign": ("softsign", 0.0, 0.0),
    "softplus": ("softplus", 0.0, 0.0),
}
"""Keras's names -> ours, of those that gates may go through."""
KINDS: dict[str, tuple[Recurrent, int]] = {"SimpleRNN": (Rnn(), 1), "GRU": (Gru(), 3), "LSTM": (Lstm(), 4)}
"""The operator, and how many gates Keras stores side by side."""


def _function(n: Layer, key: str) -> Function:
    name = function_name(n, key)
    if name not in FUNCTIONS:
        raise UserError(f"{n.where}: {key} is '{name}', expected one of {', '.join(FUNCTIONS)} for gates")
    return FUNCTIONS[name]


def _operator(n: Layer, hidden: int) -> Recurrent:
    kind, _ = KINDS[n.kind]
    own = _function(n, "activation")
    backwards = n.settings.flag("go_backwards")
    if n.kind == "SimpleRNN":
        return replace(kind, hidden=hidden, reverse=backwards, activations=(own,))
    gate = _function(n, "recurrent_activation")
    if isinstance(kind, Gru):
        after = n.settings.flag("reset_after", True)
        return replace(
            kind, hidden=hidden, reverse=backwards, activations=(gate, own), linear_before_reset=after
        )
    return replace(kind, hidden=hidden, reverse=backwards, activations=(gate, own, own))


def _weights(n: Layer, op: Recurrent, features: int) -> build.Weights:
    """Keras's [features, gates * hidden]; its GRU says update, reset, new."""
    gates, hidden = KINDS[n.kind][1], op.hidden
    found = n.weights(2 + n.settings.flag("use_bias", True), "cell")
    both = isinstance(op, Gru) and op.linear_before_reset
    wanted = [
        (features, gates * hidden),
        (hidden, gates * hidden),
        (2, gates * hidden) if both else (gates * hidden,),
    ]
    for data, shape in zip(found, wanted, strict=False):
        if data.shape != shape:
            raise UserError(f"{n.where}: weights of shape {data.shape}, expected {shape}")

    def ordered(data: Array) -> Array:
        if n.kind != "GRU":
            return data
        return data.reshape(3, hidden, *data.shape[1:])[[1, 0, 2]].reshape(data.shape)

    w, r = ordered(found[0].T), ordered(found[1].T)
    zero = np.zeros(gates * hidden, np.float32)
    if len(found) == 2:
        halves = (zero, zero)
    elif both:
        halves = (ordered(found[2][0]), ordered(found[2][1]))
    else:
        halves = (ordered(found[2]), zero)
    return build.Weights(w, r, build.bias(op.name, *halves))


@keras(*KINDS)
def recurrent(b: KerasBuilder, n: Layer) -> tuple[Value, ...]:
    """(y, and with `return_state` the states after the last step)."""
    if n.settings.flag("stateful"):
        raise UserError(
            f"{n.where}: stateful is not supported; save it with stateful=False and use lilliput.stateful(graph)"
        )
    sequences, states = n.settings.flag("return_sequences"), n.settings.flag("return_state")
    given = n.inputs[1:]
    named = n.options.get("initial_state")
    if named is not None:
        given = [*given, *([named] if isinstance(named, Value) else named if isinstance(named, list) else [])]
    if not n.inputs:
        raise UserError(f"{n.where}: no input")
    x = b.plain(b.real(n.inputs[0]))
    b.expect_rank(n, x, 3)
    op = replace(_operator(n, n.settings.integer("units")), last=not sequences)
    if given and (len(given) != len(op.states) or not all(isinstance(v, Value) for v in given)):
        raise UserError(f"{n.where}: {len(given)} initial states, expected {len(op.states)}")
    starts: list[Value | None] = [b.plain(b.real(v)) for v in given] if given else [None] * len(op.states)
    y, *after = build.add_direction(b, op, x, _weights(n, op, b.shape(x)[2]), starts, None)
    if op.reverse and sequences:  # Keras gives the steps in the order in which they were taken
        y = backwards(b, Value(y.name, (0, 1, 2)))
    results = [y, *after] if states else [y]
    return tuple(Value(v.name, tuple(range(len(v.order)))) for v in results)


def backwards(b: KerasBuilder, y: Value) -> Value:
    """The steps in the opposite order."""
    return region(b, y, {1: range(b.shape(y)[1] - 1, -1, -1)})


MERGES: dict[str, Op] = {"sum": Add(), "ave": Add(), "mul": Mul()}


@keras("Bidirectional")
def bidirectional(b: KerasBuilder, n: Layer) -> tuple[Value, ...]:
    forward, backward = n.settings.get("layer"), n.settings.get("backward_layer")
    mode = n.settings.get("merge_mode", "concat")
    if mode not in (None, "concat", *MERGES):
        raise n.settings.wrong("merge_mode", f"null or one of concat, {', '.join(MERGES)}")
    ways = []
    for spec, folder, reverse in ((forward, "forward_layer", False), (backward, "backward_layer", True)):
        kind = kind_of(spec)
        config = spec.get("config") if isinstance(spec, dict) else None
        if (
            kind not in KINDS
            or not isinstance(config, dict)
            or config.get("go_backwards", False) is not reverse
        ):
            raise UserError(
                f"{n.where}: {folder} is a {kind[:40]}, expected one of {', '.join(KINDS)} that goes its way"
            )
        if config.get("return_state"):
            raise UserError(f"{n.where}: return_state is not supported in both directions")
        ways.append((spec, f"{n.path}/{folder}"))
    if len(n.inputs) != 1 or n.options.get("initial_state") is not None:
        raise UserError(f"{n.where}: initial states are not supported in both directions")
    (y,), (z,) = (b.call(spec, path, [n.x], {}, n.names) for spec, path in ways)
    if len(y.order) == 3:
        z = _undone(b, z)
    if mode is None:
        return y, z
    if mode == "concat":
        return (b.add(Concat(len(y.order) - 1), [y, z]),)
    total = apply(b, MERGES[mode], y, z)
    return (scaled(b, total, 0.5) if mode == "ave" else total,)


def _undone(b: KerasBuilder, z: Value) -> Value:
    """The steps in the order of the input: what the backward layer turned round last is taken back."""
    last = b.nodes[-1]
    if last.outputs == (z.name,) and len(last.inputs) == 1 and b.shape(z)[1] > 1:
        b.nodes.pop()
        del b.tensors[z.name]
        return Value(last.inputs[0], z.order)
    return backwards(b, z)


@keras("TimeDistributed")
def time_distributed(b: KerasBuilder, n: Layer) -> Value:
    """The steps become samples for the layer within."""
    spec: Any = n.settings.get("layer")
    x = b.plain(n.x)
    b.expect_rank(n, x, 3, 4, 5, 6)
    batch, steps, *rest = b.shape(x)
    if kind_of(spec) in ("Bidirectional", *KINDS) and batch * steps > 1 << 12:
        raise UserError(f"{n.where}: more than 4096 sequences")
    (y,) = b.call(spec, f"{n.path}/layer", [view_as(b, x, (batch * steps, *rest))], {}, n.names)
    return view_as(b, y, (batch, steps, *b.shape(y)[1:]))
