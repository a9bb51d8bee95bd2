"""Run the generated C on this machine: compiled to a shared library, called through ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lilliput.build import Sanitizer, build_host
from lilliput.emit import Emitted, emit
from lilliput.errors import CheckError
from lilliput.graph import Array
from lilliput.plan import Plan, plan
from lilliput.toolchain import cache_dir

Watch = Callable[[int], None]


def build_library(
    emitted: Sequence[Emitted], *, compiler: str = "zig", sanitize: Sanitizer | None = None
) -> ctypes.CDLL:
    """Compile models (emitted together) for this machine; the result is cached by content."""
    digest = hashlib.sha256("".join(e.source + e.header for e in emitted).encode()).hexdigest()[:24]
    with tempfile.TemporaryDirectory(prefix="lilliput-") as folder:
        out = (
            cache_dir()
            / "host"
            / f"{emitted[0].name}-{digest}-{Path(compiler).name}-{sanitize or 'plain'}.so"
        )
        for e in emitted:
            (Path(folder) / f"{e.name}.h").write_text(e.header)
        source = Path(folder) / f"{emitted[0].name}.c"
        source.write_text(emitted[0].source)
        build_host(
            [source], [Path(folder)], out, compiler=compiler, sanitize=sanitize, defines=("LILLIPUT_LAYERS",)
        )
    return ctypes.CDLL(str(out))


@dataclass(frozen=True, eq=False)
class HostModel:
    """A model inside a loaded library, with an arena of exactly the planned size between canaries."""

    plan: Plan
    name: str
    library: ctypes.CDLL
    layers: tuple[str, ...]

    def fresh_state(self) -> Array:
        """The bytes of the struct of states after a reset."""
        state = np.full(self.plan.state_size, CANARY, np.uint8)
        if self.plan.graph.states:
            reset = getattr(self.library, f"{self.name}_reset")
            reset.argtypes, reset.restype = (ctypes.c_void_p,), None
            reset(state.ctypes.data)
        return state

    def run(
        self,
        feed: Mapping[str, Array],
        watch: Callable[[int, Array], None] | None = None,
        state: Array | None = None,
    ) -> dict[str, Array]:
        """One inference. With `watch(step, arena)` the layers are called one by one and watched after each: that is
        for plans without streams.

        `state` holds the bytes of the states, found and left there; without it they start from a reset.
        """
        memory, arena = _arena(self.plan.arena)
        state = self.fresh_state() if state is None else state
        for name, value in feed.items() if self.plan.fed is None else ():
            _bytes_of(self.plan, name, arena)[:] = np.ascontiguousarray(value).view(np.uint8).reshape(-1)
        address = arena.ctypes.data
        if self.plan.fed is not None:
            self._by_rows(feed, address, arena)
        elif watch is None:
            run = getattr(self.library, f"{self.name}_run")
            arguments = [ctypes.c_void_p(address), ctypes.c_size_t(self.plan.arena)]
            if self.plan.graph.states:
                arguments.append(ctypes.c_void_p(state.ctypes.data))
            run.restype = ctypes.c_int
            if status := run(*arguments):
                raise CheckError(f"{self.name}_run returned {status} on the host")
        else:
            for name, offset in self.plan.state.items():
                found = _bytes_of(self.plan, name, arena)
                found[:] = state[offset : offset + len(found)]
            self._layer_by_layer(address, arena, watch)
        if (memory[:GUARD] != CANARY).any() or (memory[GUARD + self.plan.arena :] != CANARY).any():
            raise CheckError(f"{self.name} wrote outside its arena of {self.plan.arena} bytes on the host")
        return {name: value_at(self.plan, name, arena) for name in self.plan.graph.outputs}

    def _by_rows(self, feed: Mapping[str, Array], address: int, arena: Array) -> None:
        """Push the rows of the only input."""
        start, push = (getattr(self.library, f"{self.name}_{what}") for what in ("start", "push_row"))
        arguments = ctypes.c_void_p(address), ctypes.c_size_t(self.plan.arena)
        status = start(*arguments)
        ((name, value),) = feed.items()
        for i, row in enumerate(np.ascontiguousarray(value)[0]):
            offset, size = self.plan.row(name, i)
            arena[offset : offset + size] = row.view(np.uint8).reshape(-1)
            status = push(*arguments)
        if status:
            raise CheckError(f"{self.name}_push_row returned {status} on the host behind the last row")

    def _layer_by_layer(self, address: int, arena: Array, watch: Callable[[int, Array], None]) -> None:
        assert not self.plan.streams, "layers of a stream do not run one by one"
        table = (ctypes.c_void_p * len(self.layers)).in_dll(self.library, f"{self.name}_layers")
        for step, entry in enumerate(table):
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(entry or 0)(address)
            watch(step, arena)


FEATURES = frozenset({"halfword_mac"})
"""What kernels may ask of this machine: plain C that only pays on some cores runs here too."""
GUARD = 64
CANARY = 0xA5


def _arena(size: int) -> tuple[Array, Array]:
    """An arena between canaries; numpy aligns to at least 16 bytes."""
    memory = np.full(size + 2 * GUARD, CANARY, np.uint8)
    return memory, memory[GUARD : GUARD + size]


def _bytes_of(plan: Plan, name: str, arena: Array) -> Array:
    offset = plan.offsets[name]
    return arena[offset : offset + plan.graph.tensors[name].nbytes]


def value_at(plan: Plan, name: str, arena: Array) -> Array:
    """A copy of a tensor as it lies in an arena's bytes."""
    t = plan.graph.tensors[name]
    return _bytes_of(plan, name, arena).copy().view(t.dtype).reshape(t.shape)


def planned_on_host(planned: Plan, name: str, emitted: Emitted, compiler: str = "zig") -> HostModel:
    """A planned model on this machine; with portable kernels and layer by layer, where it is planned otherwise."""
    if planned.streams or not all(step.kernel.isa <= FEATURES for step in planned.steps):
        planned = plan(planned.graph, FEATURES)
        emitted = emit(planned, name)
    return HostModel(planned, name, build_library([emitted], compiler=compiler), emitted.layers)
