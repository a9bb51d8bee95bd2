"""A planned model as one .c and one .h file: constants, layers, and the functions of the public interface."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.emit import literals
from lilliput.emit.constants import Constants
from lilliput.emit.layers import layer_of
from lilliput.emit.streams import calls_of, fed_input
from lilliput.emit.templates import TEMPLATES
from lilliput.errors import UserError
from lilliput.evaluate import step_through
from lilliput.graph import Array, Tensor
from lilliput.op import Kernel
from lilliput.plan import Plan
from lilliput.version import __version__

HEADERS = Path(__file__).parents[1] / "c"


@dataclass(frozen=True)
class Emitted:
    """The text of NAME.c and NAME.h, and how the functions of its layers and inputs are called."""

    name: str
    source: str
    header: str
    layers: tuple[str, ...]
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class _Port:
    function: str
    type: str
    offset: int
    size: int
    tensor: Tensor


@dataclass(frozen=True)
class _Field:
    """A member of the struct of states: where a run reads it from and leaves it in the arena, and its real zero."""

    name: str
    type: str
    size: int
    before: int
    after: int
    zero: int
    tensor: Tensor


@dataclass(frozen=True, eq=False)
class Golden:
    """What the self-test runs: a value per input, and the outputs that were proven (None: the numpy reference's)."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array] | None = None


def emit(plan: Plan, name: str, golden: Golden | None = None) -> Emitted:
    """The two files of a model. Without `golden` the self-test has a fixed pseudo-random input."""
    return emit_many([(plan, name, golden)])[0]


def emit_many(models: Sequence[tuple[Plan, str, Golden | None]]) -> list[Emitted]:
    """Several models whose kernels are pasted once, into the first one's file: what the batch tests compile."""
    steps = [step for plan, _, _ in models for step in plan.steps]
    kernels = {step.kernel.name: step.kernel for step in steps}
    rows = (step.rows or (step.kernel.rows(step.site) if step.kernel.rows else None) for step in steps)
    taps = max((r.taps for r in rows if r), default=1)
    by_rows = any(plan.streams for plan, _, _ in models)
    pasted = paste(kernels.values(), ("rows.h",) if by_rows else ())
    parts = [_model(plan, literals.identifier(name), golden) for plan, name, golden in models]
    template = TEMPLATES.get_template("model.c.j2")
    source = template.render(
        version=__version__, taps=taps, kernels=pasted, models=[part for part, _ in parts]
    )
    return [
        Emitted(name, source if i == 0 else "", header, layer_names(plan, name), inputs_of(plan, name))
        for i, ((_, header), (plan, name, _)) in enumerate(zip(parts, models, strict=True))
    ]


def layer_names(plan: Plan, name: str) -> tuple[str, ...]:
    """The functions of the layers, in order."""
    return tuple(f"{name}_l{i}" for i in range(len(plan.steps)))


def constants_of(plan: Plan, name: str) -> tuple[tuple[str, ...], ...]:
    """The symbols of the constants that each layer brings; what layers share counts for the first of them."""
    constants, found, seen = Constants(name), list[tuple[str, ...]](), 0
    for i, step in enumerate(plan.steps):
        layer_of(plan, step, i, name, constants)
        found.append(tuple(constants.symbols[seen:]))
        seen = len(constants.symbols)
    return tuple(found)


def inputs_of(plan: Plan, name: str) -> tuple[str, ...]:
    """The functions that give the inputs' addresses."""
    return tuple(port.function for port in _ports(plan, plan.graph.inputs, f"{name}_input"))


def _model(plan: Plan, name: str, golden: Golden | None) -> tuple[dict[str, Any], str]:
    constants = Constants(name)
    layers = [layer_of(plan, step, i, name, constants) for i, step in enumerate(plan.steps)]
    inputs = _ports(plan, plan.graph.inputs, f"{name}_input")
    outputs = _ports(plan, plan.graph.outputs, f"{name}_output")
    golden = golden or Golden(random_inputs(plan))
    proven = golden.outputs or step_through(plan.graph, golden.inputs)
    content = "\n".join([*constants.definitions, *(line for layer in layers for line in layer.lines)])
    part: dict[str, Any] = {
        "name": name,
        "NAME": name.upper(),
        "version": __version__,
        "hash": hashlib.sha256(f"{__version__}\n{plan.arena}\n{content}".encode()).hexdigest()[:16],
        "constants": [*constants.pad_definitions(), *constants.definitions],
        "layers": layers,
        "calls": calls_of(plan, name),
        "fed": fed_input(plan),
        "inputs": inputs,
        "outputs": outputs,
        "states": _fields(plan),
        "state_size": plan.state_size,
        "arena": plan.arena,
        "floats": any(t.dtype == "float32" for t in plan.graph.tensors.values()),
        "align": plan.alignment,
        "labels": [literals.string(str(label)) for label in plan.graph.meta.get("labels", ())],
        "golden": [(p, literals.array(golden.inputs[p.tensor.name])) for p in inputs],
        "expected": [(p, literals.array(proven[p.tensor.name])) for p in outputs],
        "number": literals.number,
        "string": literals.string,
    }
    header = TEMPLATES.get_template("model.h.j2").render(**part)
    return part, header


def _ports(plan: Plan, names: Sequence[str], function: str) -> list[_Port]:
    ports = []
    for i, name in enumerate(names):
        t = plan.graph.tensors[name]
        if name not in plan.offsets:
            raise UserError(f"output '{name}' is a constant: there is nothing to run")
        called = function if len(names) == 1 else f"{function}_{literals.tame(name, i)}"
        ports.append(_Port(called, literals.C_TYPES[t.dtype], plan.offsets[name], t.size, t))
    return ports


def _fields(plan: Plan) -> list[_Field]:
    """The members of the struct of states in the order of `Plan.state`, so that nothing lies between them."""
    ends = dict(plan.graph.states)
    found = []
    for i, name in enumerate(plan.state):
        t = plan.graph.tensors[name]
        before, after = plan.offsets[name], plan.offsets[ends[name]]
        zero = 0 if t.quant is None else t.quant.z
        found.append(
            _Field(f"s{literals.tame(name, i)}", literals.C_TYPES[t.dtype], t.size, before, after, zero, t)
        )
    return found


def random_inputs(plan: Plan) -> dict[str, Array]:
    """The same pseudo-random inputs every time, over the whole range of integers and -1..1 for floats."""
    rng = np.random.default_rng(20260101)
    return {name: random_value(rng, plan.graph.tensors[name]) for name in plan.graph.inputs}


def random_value(rng: np.random.Generator, t: Tensor) -> Array:
    """A value of a tensor's type; 64-bit integers stay small enough to be told apart from overflow."""
    if t.dtype == "float32":
        return rng.uniform(-1, 1, t.shape).astype(np.float32)
    if t.dtype == "bool":
        return rng.integers(0, 2, t.shape).astype(bool)
    info = np.iinfo("int32" if t.dtype == "int64" else t.dtype)
    return np.asarray(rng.integers(info.min, info.max, t.shape, dtype=t.dtype, endpoint=True))


def paste(kernels: Iterable[Kernel], headers: Sequence[str] = ()) -> str:
    """The kernels' C with quoted includes resolved, each file once, include guards removed.

    Of a rendered kernel only the includes appear: its functions belong to layers.
    """
    done: set[str] = set()
    out: list[str] = []

    def add(name: str, text: str, *, body: bool = True) -> None:
        if name in done:
            return
        done.add(name)
        kept = []
        for line in text.splitlines():
            if include := re.fullmatch(r'#include "([a-z0-9_]+\.h)"', line.strip()):
                add(include[1], (HEADERS / include[1]).read_text())
            elif body:
                kept.append(line)
        if body:
            out.append(_without_guard("\n".join(kept)).strip("\n"))

    for header in headers:
        add(header, (HEADERS / header).read_text())
    for kernel in kernels:
        add(kernel.name, kernel.text(), body=not kernel.rendered)
    return "\n\n".join(out)


def _without_guard(text: str) -> str:
    guard = re.search(r"#ifndef (LILLIPUT_\w+_H)\n#define \1\n", text)
    if not guard:
        return text
    return text.replace(guard[0], "").rstrip().removesuffix("#endif")
