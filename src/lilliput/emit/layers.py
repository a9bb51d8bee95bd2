"""One C function per layer: the call of its kernel, over all rows or, in a stream, for the next one."""

from __future__ import annotations

from dataclasses import dataclass

from lilliput.emit import literals
from lilliput.emit.constants import Constants
from lilliput.emit.templates import TEMPLATES
from lilliput.graph import Tensor
from lilliput.op import Kernel, Site
from lilliput.plan import Plan, Step, Stream
from lilliput.plan.types import row_bytes


@dataclass(frozen=True)
class Layer:
    """The function of a layer: its name, what it says above it, and its lines."""

    function: str
    comment: str
    lines: tuple[str, ...]


def _pointer(tensor: Tensor, offset: int, *, const: bool, place: str = "") -> str:
    c_type = literals.C_TYPES[tensor.dtype]
    return f"({'const ' if const else ''}{c_type} *)(void *)(arena + {offset}{place})"


def layer_of(plan: Plan, step: Step, i: int, prefix: str, constants: Constants) -> Layer:
    """The function of step i, with its parameters among the constants."""
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
    return Layer(f"{prefix}_l{i}", _describe(step, i), tuple(lines))


def _reads(site: Site, kernel: Kernel) -> list[Tensor]:
    """The inputs that a kernel gets as pointers."""
    reads = [j for j, t in enumerate(site.ins) if not t.constant] if kernel.reads is None else kernel.reads
    return [site.ins[j] for j in reads]


def _scratch(step: Step) -> str:
    return "NULL" if step.scratch is None else f"arena + {step.scratch}"


def _rows_lines(plan: Plan, step: Step, i: int, prefix: str, constants: Constants) -> list[str]:
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
    over = "over_rows_back" if step.backwards else "over_rows"
    call = f"{over}({kernel.name}, &{prefix}_p{i}, &{prefix}_r{i}, {x}, {y}, {_scratch(step)});"
    return [*lines, call]


def _row_lines(
    plan: Plan, step: Step, i: int, prefix: str, stream: Stream, constants: Constants
) -> list[str]:
    """One row of a layer in a stream."""
    site, kernel, rows = step.site, step.kernel, step.rows
    assert rows is not None
    data = [t for t in site.ins if not t.constant]
    heights = [plan.ring(t.name) or t.shape[1] for t in (site.y, *data, data[0])][:3]
    rings = f"{heights[0]}, {{{heights[1]}, {heights[2]}}}, {rows.stride}"
    constants.define(f"rings_t {prefix}_g{i}", rings)
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


def _plain_lines(plan: Plan, step: Step, function: str, params: str, constants: Constants) -> list[str]:
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


def _rendered(kernel: Kernel, site: Site, function: str) -> str:
    """The function of one layer from its template."""
    text = "\n".join(line for line in kernel.text().splitlines() if not line.startswith('#include "'))
    template = TEMPLATES.from_string(text)
    return template.render(name=function, number=literals.number, **kernel.params(site)).strip("\n")


def _source(tensor: Tensor, plan: Plan, constants: Constants) -> str:
    if tensor.data is not None:
        return constants.array(tensor.data)
    return _pointer(tensor, plan.offsets[tensor.name], const=True)


def _describe(step: Step, i: int) -> str:
    def shape(t: Tensor) -> str:
        return "x".join(map(str, t.shape)) or "1"

    ins = ", ".join(shape(t) for t in step.site.ins if not t.constant)
    macs = step.site.op.macs(step.site)
    return f"{i}: {step.site.op.name} {ins} -> {shape(step.site.y)}" + (f", {macs} MACs" if macs else "")
