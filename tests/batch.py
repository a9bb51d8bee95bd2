"""Many models in one library or one ELF: what makes thousands of proofs affordable."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lilliput.build import Optimize, build_firmware
from lilliput.emit import Emitted, emit_many
from lilliput.emulate import Machine, open_machine
from lilliput.emulate.allowed import check_instructions
from lilliput.emulate.stack import stack_bound
from lilliput.evaluate import Shadow, step_through
from lilliput.examples import draw
from lilliput.graph import Array, Graph
from lilliput.host import FEATURES, HostModel, build_library, value_at
from lilliput.op import Kernel, Site
from lilliput.plan import Plan, align, plan
from lilliput.target import Region, Target

Feeds = Callable[[Graph, int], Iterable[dict[str, Array]]]
"""The inputs that a graph is run with, drawn from a seed."""

# Against numpy, float32 differs by the order of summation: relative to the largest value of the tensor or, where
# nearly equal numbers are subtracted on the way, of the graph.
FLOAT_BOUND = 2e-5


@dataclass(frozen=True, eq=False)
class Case:
    """A planned model with a label for messages."""

    label: str
    plan: Plan


def largest(value: Array) -> float:
    """The largest finite magnitude."""
    return float(np.abs(value[np.isfinite(value)]).max(initial=0))


def same(expected: Array, found: Array, scale: float = 1e-3) -> bool:
    """Integers exactly; float32 within FLOAT_BOUND of the largest value there or of `scale`, NaN where NaN."""
    if expected.dtype != np.float32:
        return expected.dtype == found.dtype and bool(np.array_equal(expected, found))
    bound = FLOAT_BOUND * max(largest(expected), scale)
    return bool(np.allclose(expected, found, rtol=0, atol=bound, equal_nan=True))


def host_models(
    cases: Sequence[Case], *, compiler: str = "zig", sanitize: str | None = None
) -> list[HostModel]:
    """All cases in one shared library."""
    emitted = emit_many([(case.plan, f"batch_{i}", None) for i, case in enumerate(cases)])
    library = build_library(emitted, compiler=compiler, sanitize=sanitize)
    return [HostModel(c.plan, e.name, library, e.layers) for c, e in zip(cases, emitted, strict=True)]


def host_differences(
    cases: Sequence[Case], models: Sequence[HostModel], seed: int, count: int = 1
) -> list[str]:
    """What differs between the numpy reference and the C on the host, one line each."""
    wrong = []
    for case, model in zip(cases, models, strict=True):
        for feed in draw(case.plan.graph, seed, count):
            if real(case):
                wrong += _layer_differences(case, model, feed)
            else:
                wrong += _differences(case, feed, model.run(feed), "host")
    return wrong


def real(case: Case) -> bool:
    """Whether any layer computes in float32."""
    return any(t.dtype == "float32" for step in case.plan.steps for t in step.site.outs)


def _layer_differences(case: Case, model: HostModel, feed: dict[str, Array]) -> Iterable[str]:
    """Each layer against its reference on the same operands; then the whole run against the layers, bit for bit."""
    plan, wrong, last = case.plan, [], dict(feed)
    shadow = Shadow(plan.graph, feed)

    def watch(step: int, arena: Array) -> None:
        site, kernel = plan.steps[step].site, plan.steps[step].kernel.name
        for name, expected in shadow.expect(site).items():
            last[name] = value_at(plan, name, arena)
            operands = [largest(last[t.name]) for t in site.ins if t.name in last]
            if not same(expected, last[name], max([1e-3, *operands])):
                wrong.append(f"{case.label}: {name} differs on host (layer {site.name}, kernel {kernel})")
        for t in site.outs:
            shadow.set(t.name, last[t.name])

    model.run(feed, watch)
    for name, value in model.run(feed).items():
        if name in last and value.tobytes() != last[name].tobytes() and not np.isnan(value).any():
            wrong.append(f"{case.label}: {name} of the whole run is not that of the layers")
    return wrong


def _differences(case: Case, feed: dict[str, Array], found: dict[str, Array], where: str) -> Iterable[str]:
    for name, value in step_through(case.plan.graph, feed).items():
        if not same(value, found[name]):
            yield f"{case.label}: {name} differs on {where} ({kernels_of(case)})"


Watch = Callable[[str, Array], None]


@dataclass(frozen=True, eq=False)
class CoreBatch:
    """All cases in one ELF on an emulated core."""

    cases: Sequence[Case]
    emitted: Sequence[Emitted]
    machine: Machine
    bounded: bool = True
    """Whether runs are held to the static bound of the stack, which takes longer to find than they do."""

    def run(self, i: int, feed: dict[str, Array], watch: Watch | None = None) -> dict[str, Array]:
        """One inference, after filling the arena with a canary that the plan says nobody needs.

        `watch(tensor, value)` sees the results of every layer when it returns, but for those in streams.
        """
        plan, name = self.cases[i].plan, self.emitted[i].name
        origin = self.machine.image.arena.origin
        size = self.machine.image.arena.size
        self.machine.write(origin, b"\xa5" * size)
        for tensor, value in feed.items():
            self.machine.write(origin + plan.offsets[tensor], np.ascontiguousarray(value).tobytes())
        self.machine.start(f"{name}_run", origin, plan.arena)
        self._finish(i, watch)
        call = self.machine.finish()
        assert call.result == 0, f"{self.cases[i].label}: {name}_run returned {call.result}"
        bound = stack_bound(self.machine.image, f"{name}_run") if self.bounded else call.stack_bytes
        assert call.stack_bytes <= bound, (
            f"{self.cases[i].label}: {call.stack_bytes} bytes of stack, bound {bound}"
        )
        beyond = self.machine.read(origin + plan.arena, size - plan.arena)
        assert set(beyond) <= {0xA5}, f"{self.cases[i].label} wrote behind its arena of {plan.arena} bytes"
        return {t: self._read(plan, origin, t) for t in plan.graph.outputs}

    def _finish(self, i: int, watch: Watch | None) -> None:
        """Run to the end; `watch` sees results where layers return."""
        if watch is None:
            self.machine.resume()
            return
        plan, image = self.cases[i].plan, self.machine.image
        layers = (
            (n, image.find(name)) for n, name in enumerate(self.emitted[i].layers)
        )  # None: changes nothing
        stops = {symbol.address: n for n, symbol in layers if symbol and plan.stream_of(n) is None}
        while (at := self.machine.resume(stops)) is not None:
            returned = self.machine.resume([self.machine.return_address()])
            for t in plan.steps[stops[at]].site.outs:
                watch(t.name, self._read(plan, image.arena.origin, t.name))
            if returned is None:  # the last layer returned where the run does
                return

    def _read(self, plan: Plan, origin: int, name: str) -> Array:
        t = plan.graph.tensors[name]
        return np.frombuffer(self.machine.read(origin + plan.offsets[name], t.nbytes), t.dtype).reshape(
            t.shape
        )

    def differences(self, seed: int, feeds: Feeds = draw) -> list[str]:
        """Every tensor of integer graphs against numpy; those of the others bit for bit against the C on the host,
        which numpy has judged."""
        floats = [case for case in self.cases if real(case)]
        hosts = (
            dict(zip(map(id, floats), host_models(list(map(portable, floats))), strict=True))
            if floats
            else {}
        )
        wrong = []
        for i, case in enumerate(self.cases):
            for feed in feeds(case.plan.graph, seed):
                expected = host_tensors(hosts[id(case)], feed) if real(case) else every_tensor(case, feed)
                wrong += self._differences(i, feed, expected)
        return wrong

    def _differences(self, i: int, feed: dict[str, Array], expected: dict[str, Array]) -> Iterable[str]:
        case, found = self.cases[i], dict[str, Array]()
        alone = len(case.plan.steps) == 1
        outputs = self.run(i, feed, None if alone else found.__setitem__)
        for name, value in {**found, **outputs}.items():
            wanted = expected[name]
            if value.tobytes() != wanted.tobytes() and not (real(case) and np.isnan(wanted).any()):
                yield f"{case.label}: {name} differs on {self.machine.image.target.name} ({kernels_of(case)})"


def every_tensor(case: Case, feed: dict[str, Array]) -> dict[str, Array]:
    """What numpy computes."""
    values: dict[str, Array] = {}
    return values | step_through(case.plan.graph, feed, values.__setitem__)


def portable(case: Case) -> Case:
    """The case with kernels that run on this machine: the same, but for those that hold a core's instructions."""
    names = {step.site.y.name: step.kernel.name for step in case.plan.steps}

    def same(site: Site, kernels: Sequence[Kernel]) -> Kernel:
        return next((k for k in kernels if k.name == names[site.y.name]), kernels[-1])

    return Case(case.label, plan(case.plan.graph, FEATURES, pick=same))


def host_tensors(model: HostModel, feed: dict[str, Array]) -> dict[str, Array]:
    """What the C computes on the host, at the moment each layer returns."""
    values: dict[str, Array] = {}

    def watch(step: int, arena: Array) -> None:
        for t in model.plan.steps[step].site.outs:
            values[t.name] = value_at(model.plan, t.name, arena)

    model.run(feed, watch)
    return values | model.run(feed)


def kernels_of(case: Case) -> str:
    return "kernels " + ", ".join(step.kernel.name for step in case.plan.steps)


STACK = 128 * 1024
"""RAM beside the arena, where a batch has a larger one than its core."""
SELFTEST = """
batch_status_t batch_selftest(void *arena, size_t arena_size) {
  (void)arena, (void)arena_size;
%s
  return BATCH_OK;
}
"""


def core_batch(
    cases: Sequence[Case],
    target: Target,
    *,
    compiler: str = "zig",
    emulator: str | None = None,
    optimize: Optimize = "speed",
    bounded: bool = True,
) -> CoreBatch:
    """Build all cases into one ELF with a large flash and open it."""
    emitted = emit_many([(case.plan, f"batch_{i}", None) for i, case in enumerate(cases)])
    arena = max(case.plan.arena for case in cases)
    calls = "\n".join(
        f"  if (batch_{i}_selftest(arena, {c.plan.arena}u) != 0) return BATCH_FAILED;"
        for i, c in enumerate(cases)
        if all(t.dtype != "float32" for t in c.plan.graph.tensors.values())
    )
    head = f"#define BATCH_ARENA_SIZE {arena}u\n#define BATCH_ARENA_ALIGN 8u\n"
    kind = "typedef enum { BATCH_OK = 0, BATCH_FAILED = -1 } batch_status_t;\n"
    interface = "batch_status_t batch_selftest(void *arena, size_t arena_size);\n"
    header = head + kind + "".join(e.header for e in emitted) + interface
    source = re.sub(r'#include "batch_\d+\.h"\n', "", emitted[0].source)
    qemu = (
        target.qemu if (emulator or target.emulator) == "qemu" else None
    )  # it has the memories of its board
    flash = qemu.flash if qemu else Region(target.flash.origin, 16 * 1024 * 1024)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "batch.h").write_text(header)
        (path / "batch.c").write_text('#include "batch.h"\n' + source + SELFTEST % calls)
        image = build_firmware(
            [path / "batch.c"],
            Path(folder) / "batch.elf",
            target,
            prefix="batch",
            compiler=compiler,
            optimize=optimize,
            flash=flash,
            ram=qemu.ram
            if qemu
            else Region(target.ram.origin, max(target.ram.size, align(arena + STACK, 1024))),
        )
        check_instructions(image, target)
        machine = open_machine(image, emulator)
        assert machine.selftest() == 0, f"a self-test failed on {target.name}"
    return CoreBatch(cases, emitted, machine, bounded)
