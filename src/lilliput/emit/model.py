"""A planned model as one .c and one .h file: constants, layers, and the functions of the public interface."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from lilliput.emit import literals
from lilliput.errors import UserError
from lilliput.evaluate import step_through
from lilliput.graph import Array, Tensor
from lilliput.op import Kernel, Rows, Site
from lilliput.plan import FEED, Plan, Step, Stream
from lilliput.plan.types import row_bytes
from lilliput.version import __version__

HERE = Path(__file__).parent
HEADERS = HERE.parent / "c"
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE),
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=jinja2.StrictUndefined,
    autoescape=False,  # C, not HTML: literals.py escapes what comes from files
)


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


@dataclass(frozen=True)
class _Layer:
    function: str
    comment: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Call:
    """What a run calls next: a layer, or a stream with its order and what its layers' cursors start with."""

    function: str
    layers: tuple[str, ...] = ()
    order: str = ""
    length: int = 0
    start: tuple[str, ...] = ()
    cursors: int = 0
    fed: bool = False


@dataclass(frozen=True)
class _Fed:
    """The input that comes by rows: where the next one goes."""

    offset: int
    pitch: int
    rows: int
    cursors: int


class _Constants:
    """Constant arrays of one model, each stored once."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.names: dict[tuple[str, bytes], str] = {}
        self.definitions: list[str] = []
        self.pads: dict[tuple[str, float], int] = {}

    def array(self, values: Array) -> str:
        key = (str(values.dtype), values.tobytes())
        if key not in self.names:
            self.names[key] = f"{self.prefix}_c{len(self.names)}"
            c_type = literals.C_TYPES[str(values.dtype)]
            body = literals.array(values)
            self.definitions.append(
                f"static const {c_type} {self.names[key]}[{values.size}] = {{\n{body}\n}};"
            )
        return self.names[key]

    def pad_row(self, rows: Rows) -> str:
        if rows.pad_value is None or not rows.padded:
            return "NULL"
        key = (rows.dtype, float(rows.pad_value))
        self.pads[key] = max(self.pads.get(key, 0), rows.pad_length)
        return f"{self.prefix}_pad{list(self.pads).index(key)}"

    def pad_definitions(self) -> Iterable[str]:
        for i, ((dtype, value), length) in enumerate(self.pads.items()):
            body = literals.array(np.full(length, value, dtype))
            yield f"static const {literals.C_TYPES[dtype]} {self.prefix}_pad{i}[{length}] = {{\n{body}\n}};"

    def struct(self, kernel: Kernel, params: Mapping[str, Any], name: str) -> None:
        fields = []
        for field, value in params.items():
            text = self.array(value) if isinstance(value, np.ndarray) else literals.number(value)
            fields.append(f".{field} = {text}")
        self.definitions.append(f"static const {kernel.name}_t {name} = {{\n{literals.wrapped(fields)},\n}};")

    def rows(self, rows: Rows, name: str) -> None:
        fields = {
            "pad_row": self.pad_row(rows),
            "in_rows": rows.in_rows,
            "in_pitch": rows.in_pitch,
            "out_rows": rows.out_rows,
            "out_pitch": rows.out_pitch,
            "taps": rows.taps,
            "stride": rows.stride,
            "dilation": rows.dilation,
            "pad": rows.pad,
        }
        values = literals.wrapped(f".{field} = {value}" for field, value in fields.items())
        self.definitions.append(f"static const rows_t {name} = {{\n{values},\n}};")


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


def inputs_of(plan: Plan, name: str) -> tuple[str, ...]:
    """The functions that give the inputs' addresses."""
    return tuple(port.function for port in _ports(plan, plan.graph.inputs, f"{name}_input"))


def _model(plan: Plan, name: str, golden: Golden | None) -> tuple[dict[str, Any], str]:
    constants = _Constants(name)
    layers = [_layer(plan, step, i, name, constants) for i, step in enumerate(plan.steps)]
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
        "calls": _calls(plan, name),
        "fed": _fed(plan),
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


def _pointer(tensor: Tensor, offset: int, *, const: bool, place: str = "") -> str:
    c_type = literals.C_TYPES[tensor.dtype]
    return f"({'const ' if const else ''}{c_type} *)(void *)(arena + {offset}{place})"


def _layer(plan: Plan, step: Step, i: int, prefix: str, constants: _Constants) -> _Layer:
    site, kernel = step.piece or step.site, step.kernel
    params = f"{prefix}_p{i}"
    constants.definitions.append(f"/* layer {_describe(step, i)} */")
    if kernel.rendered:
        constants.definitions.append(_rendered(kernel, site, function := f"{prefix}_k{i}"))
    else:
        constants.struct(kernel, kernel.params(site), params)
        function = kernel.name
    stream = plan.stream_of(i)
    if stream is not None:
        lines = _row_lines(plan, step, i, prefix, stream, constants)
    elif kernel.rows is not None:
        lines = _rows_lines(plan, step, i, prefix, constants)
    else:
        lines = _plain_lines(plan, step, function, "" if kernel.rendered else f"&{params}", constants)
    return _Layer(f"{prefix}_l{i}", _describe(step, i), tuple(lines))


def _reads(site: Site, kernel: Kernel) -> list[Tensor]:
    """The inputs that a kernel gets as pointers."""
    reads = [j for j, t in enumerate(site.ins) if not t.constant] if kernel.reads is None else kernel.reads
    return [site.ins[j] for j in reads]


def _scratch(step: Step) -> str:
    return "NULL" if step.scratch is None else f"arena + {step.scratch}"


def _rows_lines(plan: Plan, step: Step, i: int, prefix: str, constants: _Constants) -> list[str]:
    """A row kernel over all rows."""
    site, kernel = step.site, step.kernel
    assert kernel.rows is not None
    rows, lines = kernel.rows(site), list[str]()
    constants.rows(rows, f"{prefix}_r{i}")
    x, y = (f"arena + {plan.offsets[t.name]}" for t in (_reads(site, kernel)[0], site.y))
    if rows.batches > 1:
        lines.append(f"for (int32_t n = 0; n < {rows.batches}; n++)")
        x += f" + n * {rows.in_rows * rows.in_pitch}"
        y += f" + n * {rows.out_rows * rows.out_pitch}"
    call = f"over_rows({kernel.name}, &{prefix}_p{i}, &{prefix}_r{i}, {x}, {y}, {_scratch(step)});"
    return [*lines, call]


def _row_lines(
    plan: Plan, step: Step, i: int, prefix: str, stream: Stream, constants: _Constants
) -> list[str]:
    """One row of a layer in a stream."""
    site, kernel, rows = step.site, step.kernel, step.rows
    assert rows is not None
    data = [t for t in site.ins if not t.constant]
    heights = [plan.ring(t.name) or t.shape[1] for t in (site.y, *data, data[0])][:3]
    constants.definitions.append(
        f"static const rings_t {prefix}_g{i} = {{{heights[0]}, {{{heights[1]}, {heights[2]}}}, {rows.stride}}};"
    )
    cursor = f"row_cursor_t *const at = (row_cursor_t *)(void *)(arena + {stream.cursors}) + {i - stream.first + 1};"
    if kernel.rows is not None:
        constants.rows(rows, f"{prefix}_r{i}")
        x, y = (f"arena + {plan.offsets[t.name]}" for t in (data[0], site.y))
        what = f"&{prefix}_p{i}, &{prefix}_r{i}, &{prefix}_g{i}"
        return [cursor, f"next_row({kernel.name}, {what}, {x}, {y}, {_scratch(step)}, at);"]
    arguments = [f"&{prefix}_p{i}"]
    for t in _reads(site, kernel):
        if t.constant:
            arguments.append(_source(t, plan, constants))
        else:
            place = f" + at->in[{data.index(t)}] * {row_bytes(t.nbytes, t.shape)}"
            arguments.append(_pointer(t, plan.offsets[t.name], const=True, place=place))
    place = f" + at->out * {row_bytes(site.y.nbytes, site.y.shape)}"
    arguments.append(_pointer(site.y, plan.offsets[site.y.name], const=False, place=place))
    if step.scratch is not None:
        arguments.append(_scratch(step))
    return [cursor, f"{kernel.name}({', '.join(arguments)});", f"advance_row(at, &{prefix}_g{i});"]


def _plain_lines(plan: Plan, step: Step, function: str, params: str, constants: _Constants) -> list[str]:
    """A call of a plain kernel."""
    ins, lines = _reads(step.site, step.kernel), list[str]()
    arguments = [params] if params else []
    if step.kernel.variadic:
        pointers = ", ".join(f"arena + {plan.offsets[t.name]}" for t in ins)
        lines.append(f"const void *const xs[{len(ins)}] = {{{pointers}}};")
        arguments.append("xs")
    else:
        arguments += [_source(t, plan, constants) for t in ins]
    arguments += [_pointer(t, plan.offsets[t.name], const=False) for t in step.site.outs]
    if step.scratch is not None:
        arguments.append(_scratch(step))
    return [*lines, f"{function}({', '.join(arguments)});"]


def _calls(plan: Plan, prefix: str) -> list[_Call]:
    """What a run calls, in order."""
    calls = []
    for i in range(len(plan.steps)):
        stream = plan.stream_of(i)
        if stream is None:
            calls.append(_Call(f"{prefix}_l{i}"))
        elif stream.first == i:
            calls.append(_stream_call(plan, stream, f"{prefix}_s{plan.streams.index(stream)}", prefix))
    return calls


def _stream_call(plan: Plan, stream: Stream, function: str, prefix: str) -> _Call:
    layers = range(stream.first, stream.last + 1)
    order = np.array([255 if i == FEED else i for i in stream.order], np.uint8)
    start = ["{1, 0, {0, 0}}" if stream.fed else "{0, 0, {0, 0}}"]
    for i in layers:
        rows, data = plan.steps[i].rows, [t for t in plan.steps[i].site.ins if not t.constant]
        assert rows is not None
        start.append(f"{{0, 0, {{{-rows.pad % (plan.ring(data[0].name) or data[0].shape[1])}, 0}}}}")
    names = tuple(f"{prefix}_l{i}" for i in layers)
    body = literals.array(order)
    return _Call(function, names, body, len(order), tuple(start), stream.cursors, stream.fed)


def _fed(plan: Plan) -> _Fed | None:
    stream = plan.fed
    if stream is None:
        return None
    (name,) = plan.graph.inputs
    t = plan.graph.tensors[name]
    rows = plan.ring(name) or t.shape[1]
    return _Fed(plan.offsets[name], row_bytes(t.nbytes, t.shape), rows, stream.cursors)


def _rendered(kernel: Kernel, site: Site, function: str) -> str:
    """The function of one layer from its template."""
    text = "\n".join(line for line in kernel.text().splitlines() if not line.startswith('#include "'))
    template = TEMPLATES.from_string(text)
    return template.render(name=function, number=literals.number, **kernel.params(site)).strip("\n")


def _source(tensor: Tensor, plan: Plan, constants: _Constants) -> str:
    if tensor.data is not None:
        return constants.array(tensor.data)
    return _pointer(tensor, plan.offsets[tensor.name], const=True)


def _describe(step: Step, i: int) -> str:
    def shape(t: Tensor) -> str:
        return "x".join(map(str, t.shape)) or "1"

    ins = ", ".join(shape(t) for t in step.site.ins if not t.constant)
    macs = step.site.op.macs(step.site)
    return f"{i}: {step.site.op.name} {ins} -> {shape(step.site.y)}" + (f", {macs} MACs" if macs else "")


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
