"""One traced inference of a firmware: what every layer computes, on the emulated core and on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lilliput.emulate import Call, Machine, trace
from lilliput.firmware import Firmware, inference, reset_state, tensor_on
from lilliput.graph import Array
from lilliput.host import value_at


def layers_on_machine(
    firmware: Firmware,
    machine: Machine,
    values: Mapping[str, Array],
    watch: Callable[[int, str, Array], None],
) -> tuple[tuple[str, int], ...]:
    """One traced inference: `watch(step, tensor, value)` for each layer's results; gives the instructions by layer.

    Rows of a stream are collected as they are computed; a layer there comes once for each row.
    """
    reset_state(firmware, machine)
    numbers = {name: i for i, name in enumerate(firmware.emitted.layers)}
    rows: dict[int, list[bytes]] = {}

    def stop(function: str) -> None:
        step = numbers[function]
        if firmware.plan.stream_of(step) is None:
            for t in firmware.plan.steps[step].site.outs:
                watch(step, t.name, tensor_on(firmware, machine, t.name))
            return
        t = firmware.plan.steps[step].site.y
        done = rows.setdefault(step, [])
        offset, size = firmware.plan.row(t.name, len(done))
        done.append(machine.read(firmware.image.arena.origin + offset, size))
        if len(done) == t.shape[1]:
            watch(step, t.name, np.frombuffer(b"".join(done), t.dtype).reshape(t.shape))

    def traced(function: str, arguments: tuple[int, ...]) -> Call:
        return trace(machine, function, arguments, firmware.emitted.layers, stop)

    return inference(firmware, machine, values, traced).by_segment


def layers_on_host(
    firmware: Firmware, values: Mapping[str, Array], watch: Callable[[int, str, Array], None]
) -> None:
    """The same on this machine."""

    def stop(step: int, arena: Array) -> None:
        for t in firmware.plan.steps[step].site.outs:
            watch(step, t.name, value_at(host.plan, t.name, arena))

    host = firmware.host
    host.run(values, stop)
