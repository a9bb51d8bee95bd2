"""Walks the layers of a Keras model and collects their operators."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lilliput.errors import GraphError, UserError
from lilliput.graph import ITEM_SIZE, Array, Tensor
from lilliput.importers.alternatives import alternatives
from lilliput.importers.bounded import MAX_ELEMENTS, BoundedBuilder
from lilliput.importers.builder import Value
from lilliput.importers.keras.archive import Weights
from lilliput.importers.keras.registry import keras_converters
from lilliput.importers.keras.settings import Settings
from lilliput.ops.unary import Cast

MODELS = ("Functional", "Sequential", "Model")
MAX_DEPTH = 16
"""Of models within models."""
MAX_CALLS = 10_000
"""Of layers, those of shared models counted each time."""
BROKEN = (
    GraphError, ValueError, TypeError, LookupError, ArithmeticError, AssertionError, AttributeError, RecursionError,
    MemoryError,
)  # fmt: skip
"""What a file that Keras would not write may lead to."""
REALS = ("float32", "float16", "bfloat16", "float64")
POLICIES = (*REALS, "mixed_float16", "mixed_bfloat16")
"""All are computed in float32."""


@dataclass
class Layer:
    """One call of a layer: what a converter looks at."""

    kind: str
    name: str
    path: str
    settings: Settings
    args: list[Any]
    options: Settings
    """The call's arguments by name."""
    variables: Weights
    names: tuple[str, ...] = ()
    """The layers around it and its own name."""

    @property
    def where(self) -> str:
        return self.settings.where

    @property
    def inputs(self) -> list[Value]:
        """Every tensor among the arguments without a name."""
        return list(values(self.args))

    @property
    def x(self) -> Value:
        """The one input."""
        found = self.inputs
        if len(found) != 1:
            raise UserError(f"{self.where}: {len(found)} inputs, expected 1")
        return found[0]

    def weights(self, count: int, below: str = "") -> list[Array]:
        """Its `count` variables, or those of an object in it."""
        found = self.variables.of(f"{self.path}/{below}" if below else self.path, self.where)
        if len(found) != count:
            raise UserError(
                f"{self.where}: the file holds {len(found)} variables, expected {count}: is it built?"
            )
        return found


def values(tree: Any, depth: int = 8) -> Sequence[Value]:
    """The tensors in lists and dicts of arguments, the dicts' by name as Keras flattens them."""
    if isinstance(tree, Value):
        return [tree]
    if isinstance(tree, dict):
        tree = [tree[key] for key in sorted(tree)]
    if isinstance(tree, list) and depth:
        return [v for item in tree for v in values(item, depth - 1)]
    return []


@dataclass
class KerasBuilder(BoundedBuilder):
    """What converters write into. Keras's dimensions are stored in its own order unless planes come first."""

    variables: Weights | None = None
    known: dict[tuple[Any, ...], Value] = field(default_factory=dict)
    calls: int = 0

    def constant(self, data: Array, order: tuple[int, ...] | None = None) -> Value:
        """A constant; the same numbers are stored once, for layers may be shared.

        Not zeros: states start from them, and those of one layer are quantized each in its own way.
        """
        data = np.array(data, order="C")
        if not data.any():
            return super().constant(data, order)
        key = (str(data.dtype), data.shape, order, hashlib.sha256(data.tobytes()).digest())
        if key not in self.known:
            self.known[key] = super().constant(data, order)
        return self.known[key]

    def add_input(self, name: str, shape: Sequence[Any], dtype: str) -> Value:
        """An input of the model for one sample; `shape` is Keras's, with None where it is open."""
        dtype = "float32" if dtype in REALS else dtype
        if dtype not in ITEM_SIZE:
            raise UserError(f"input '{name}' has the type {dtype[:40]!r}; known are {', '.join(ITEM_SIZE)}")
        sizes = [1, *shape[1:]]
        if any(d is None for d in sizes):
            raise UserError(
                f"input '{name}' has the shape {tuple(shape)}: give what is open (shapes={{'{name}': (1, ...)}}, "
                f"--shape {name}=1,...)"
            )
        fine = all(isinstance(d, int) and not isinstance(d, bool) and d > 0 for d in sizes)
        if not fine or not 1 <= len(shape) <= 8 or math.prod(sizes) > MAX_ELEMENTS:
            raise UserError(
                f"input '{name}' has the shape {tuple(shape)[:12]}, expected 1 to 8 dimensions of at least 1 and at "
                f"most {MAX_ELEMENTS} elements"
            )
        if name in self.tensors:
            raise UserError(f"input '{name}' is there twice")
        self.tensors[name] = Tensor(name, tuple(sizes), dtype)
        return Value(name, tuple(range(len(sizes))))

    def real(self, x: Value) -> Value:
        """x as float32."""
        return x if self.tensor(x).dtype == "float32" else self.add(Cast("float32"), [x])

    def plain(self, x: Value) -> Value:
        """x stored in Keras's order, for operators that go by axes."""
        return self.logical(x)

    def planes(self, n: Layer, x: Value) -> Value:
        """x as a framework with planes first would have it (batch, channels, ...), stored channels-last."""
        self.expect_rank(n, x, 3, 4, 5)
        x = self.real(x)
        if first(n, len(x.order)):
            return self.channels_last(x)
        return Value(self.logical(x).name, planes_order(len(x.order)))

    def from_planes(self, n: Layer, x: Value) -> Value:
        """The inverse of `planes`."""
        rank = len(x.order)
        x = self.channels_last(x)
        return x if first(n, rank) else Value(x.name, tuple(range(rank)))

    def expect_rank(self, n: Layer, x: Value, *ranks: int) -> None:
        if len(x.order) not in ranks:
            wanted = " or ".join(map(str, ranks))
            raise UserError(f"{n.where}: an input of shape {self.shape(x)}, expected {wanted} dimensions")

    def call(
        self, spec: Any, path: str, args: list[Any], options: dict[str, Any], names: tuple[str, ...] = ()
    ) -> tuple[Value, ...]:
        """The results of one call of a layer or model, as the file describes it."""
        from lilliput.importers.keras.models import run_model

        self.calls += 1
        if self.calls > MAX_CALLS or len(names) > MAX_DEPTH:
            raise UserError(f"more than {MAX_CALLS} calls of layers, or models nested over {MAX_DEPTH} deep")
        kind, name = kind_of(spec), name_of(spec)
        around, self.where = self.where, "/".join((*names, name))
        where = f"layer '{self.where}' ({kind})"
        if self.variables is None:
            raise UserError(f"{where}: there are no weights")
        n = Layer(
            kind, name, path, Settings(spec["config"], where), args, Settings(options, where), self.variables,
            (*names, name),
        )  # fmt: skip
        check_type(n.settings)
        try:
            if kind in MODELS:
                return run_model(self, spec, path, n.inputs, n.names)
            converter = keras_converters().get(kind)
            if converter is None:
                raise UserError(unsupported(n))
            results = converter(self, n)
            n.settings.finish()
            _check_options(n)
        except BROKEN as error:
            raise UserError(f"{where}: its settings, weights and inputs do not fit: {error}") from error
        finally:
            self.where = around
        return (results,) if isinstance(results, Value) else results


def planes_order(rank: int) -> tuple[int, ...]:
    """How channels-last storage holds the dimensions of a framework with planes first."""
    return (0, *range(2, rank), 1)


def first(n: Layer, rank: int) -> bool:
    """Whether the channels of a layer come before its planes."""
    return (
        n.settings.choice("data_format", ("channels_last", "channels_first"), "channels_last")
        == "channels_first"
    )


def kind_of(spec: Any) -> str:
    """The class of a layer of Keras's own, "ops.NAME" for a function; custom classes would need code of the file."""
    if not isinstance(spec, dict) or not isinstance(spec.get("class_name"), str):
        raise UserError(f"a layer is described by {str(spec)[:80]}, expected its class and its config")
    kind, module, registered = spec["class_name"], spec.get("module"), spec.get("registered_name")
    if not isinstance(module, str) or module.split(".")[0] != "keras" or registered not in (None, kind):
        raise UserError(
            f"layer '{name_of(spec)}' is of the custom class {str(registered or kind)[:80]!r} "
            f"(module {str(module)[:80]!r}): a file's code is never run; build the model of Keras's own layers"
        )
    return f"ops.{kind}" if ".ops." in module else kind


def name_of(spec: dict[str, Any]) -> str:
    """The user's name of a layer."""
    config = spec.get("config")
    name = spec.get("name") or (config.get("name") if isinstance(config, dict) else None)
    return name[:1000] if isinstance(name, str) else ""


def folder_names(specs: Sequence[Any]) -> list[str]:
    """Where the weights of a model's layers are: by class, counted; the layers' own names are not used."""
    used: dict[str, int] = {}
    found = []
    for spec in specs:
        kind = kind_of(spec)
        if kind.startswith("ops."):
            found.append("")
            continue
        snake = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind))
        snake = re.sub("([a-z])([A-Z])", r"\1_\2", snake).lower()
        used[snake] = used.get(snake, -1) + 1
        found.append(f"{snake}_{used[snake]}" if used[snake] else snake)
    return found


def check_type(settings: Settings) -> None:
    """Refuse the types and quantizations that are not computed in float32."""
    policy = settings.get("dtype")
    if isinstance(policy, dict):
        inner = policy.get("config")
        policy = (
            inner.get("name")
            if policy.get("class_name") == "DTypePolicy" and isinstance(inner, dict)
            else policy
        )
    if policy is not None and policy not in (*POLICIES, *ITEM_SIZE):
        raise UserError(
            f"{settings.where}: the type {str(policy)[:80]!r} is not supported, expected one of "
            f"{', '.join(POLICIES)}; quantize with Lilliput instead"
        )


def _check_options(n: Layer) -> None:
    for name, value in n.options.values.items():
        if name in n.options.asked or name == "training" or value is None or value is False:
            continue
        raise UserError(f"{n.where}: the call's argument {name[:40]!r} is not supported")


def unsupported(n: Layer) -> str:
    """What to say of a layer that has no converter."""
    if "Lambda" in n.kind:
        return f"{n.where}: it holds Python code, which is never run; say it with layers instead"
    return f"{n.where} is not supported. {alternatives(n.kind, keras_converters(), 'keras')}"
