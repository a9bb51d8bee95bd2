"""The layer trace of the shipped firmware: stops as each layer function returns, counts what it executed."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from lilliput.emulate.machine import Call, Machine

OnStop = Callable[[str], None]


def trace(machine: Machine, run: str, args: Sequence[int], layers: Sequence[str], on_stop: OnStop) -> Call:
    """Call `run` and stop whenever one of `layers` (functions) returns: `on_stop(name)` may read its tensors.

    The call's `by_segment` has the exact instructions of each, callees included, in the order they ran; what
    is left of `instructions` is `run` itself. A layer that the compiler removed, as it changes nothing, never runs. The
    firmware is the shipped one, unaware of the trace.
    """
    found = ((machine.image.find(name), name) for name in layers)
    entries = {symbol.address: name for symbol, name in found if symbol is not None}
    segments: list[tuple[str, int]] = []
    machine.start(run, *args)
    while (at := machine.resume(entries)) is not None:
        before = machine.counts()
        back = machine.return_address()
        # A layer called in tail position returns where `run` does: the call is over, and `resume` says so.
        returned = machine.resume([back])
        segments.append((entries[at], machine.counts().minus(before).instructions))
        on_stop(entries[at])
        if returned is None:
            break
    return replace(machine.finish(), by_segment=tuple(segments))
