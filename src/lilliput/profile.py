"""What a firmware costs: instructions, memory and cycles, all read from the shipped ELF, its map or its run.

A layer's code is its own function, with what the compiler made for it alone; kernels that layers share are not in it.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from lilliput.emit import constants_of
from lilliput.emulate.cycles import cycles_estimate
from lilliput.errors import CheckError, UserError
from lilliput.examples import draw
from lilliput.firmware import RANGE_SAMPLES, Firmware, inference, reset_state
from lilliput.graph import Array, Graph
from lilliput.layers import layers_on_machine
from lilliput.passes.channel_report import ChannelReport
from lilliput.passes.constant_channels import META


def profile(firmware: Firmware) -> dict[str, Any]:
    """The JSON of `lilliput profile`; every number an integer of bytes, instructions, MACs or (estimated) cycles."""
    machine, arena = firmware.machine, firmware.image.arena
    golden = firmware.golden
    reset_state(firmware, machine)
    call = inference(firmware, machine, golden)
    counts, stack = [call.instructions], [call.stack_bytes]
    for values in draw(firmware.graph, 1, RANGE_SAMPLES):
        reset_state(firmware, machine)
        other = inference(firmware, machine, values)
        counts.append(other.instructions)
        stack.append(other.stack_bytes)
    _stack_is_bounded(firmware, max(stack))
    low, high = cycles_estimate(call.counts, firmware.target)
    image = firmware.image
    static = image.ram_static
    return {
        "name": firmware.name,
        "target": firmware.target.name,
        "compiler": firmware.compiler,
        "optimize": firmware.optimize,
        "macs": firmware.graph.macs(),
        "removed": removed_channels(firmware.graph),
        "instructions": call.instructions,
        "instructions_range": [min(counts), max(counts)],
        "cycles_estimate": [int(low), int(high)],
        "jumps": int(call.counts.taken.sum()),
        "flash": {"code": image.flash.code, "constants": image.flash.constants, "total": image.flash.total},
        "ram": {
            "arena": arena.size,
            "stack": firmware.stack,
            "static": static,
            "total": arena.size + firmware.stack + static,
        },
        "stack_measured": max(stack),
        "layers": _layers(firmware, golden),
    }


def removed_channels(graph: Graph) -> dict[str, Any] | None:
    """What was left out because it holds one value for any input; None where there is nothing of that kind."""
    found = graph.meta.get(META)
    if found is None:
        return None
    try:
        return ChannelReport.from_json(found).to_json()
    except ValueError as error:
        raise UserError(
            f"the graph's record of removed channels is damaged ({error}); compile it again"
        ) from error


def _layers(firmware: Firmware, golden: dict[str, Array]) -> list[dict[str, Any]]:
    segments: Counter[str] = Counter()
    for function, instructions in layers_on_machine(firmware, firmware.machine, golden, lambda *_: None):
        segments[function] += instructions
    rows, symbols = [], firmware.image.symbols
    owned = constants_of(firmware.plan, firmware.name)
    for step, function, names in zip(firmware.plan.steps, firmware.emitted.layers, owned, strict=True):
        rows.append(
            {
                "name": step.site.name or function,
                "op": step.site.op.name,
                "kernel": step.kernel.name,
                "macs": step.site.op.macs(step.site),
                "instructions": segments[function],
                "constants": sum(symbols[name].size for name in names if name in symbols),
                "code": own.size if (own := firmware.image.find(function)) else 0,
                "output": list(step.site.y.shape),
            }
        )
    return rows


def _stack_is_bounded(firmware: Firmware, measured: int) -> None:
    if measured > firmware.stack:
        raise CheckError(
            f"the run of '{firmware.name}' used {measured} bytes of stack, more than the static bound of "
            f"{firmware.stack}: the bound is wrong, please report this model"
        )
