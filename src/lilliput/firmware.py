"""Firmware: a model compiled for a core, with its plan, its C and its ELF; run, validated and profiled here."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lilliput import emit as emitter
from lilliput import store
from lilliput.build import MemoryFullError, Optimize, build_firmware
from lilliput.build_folder import write_files
from lilliput.data.preprocess import preprocessed
from lilliput.emulate import Call, Machine, open_machine
from lilliput.emulate.allowed import check_instructions
from lilliput.emulate.stack import stack_bound
from lilliput.errors import CheckError, UserError
from lilliput.evaluate import Samples, as_inputs, feeds, joined, run
from lilliput.facts import read_facts, read_text
from lilliput.files import staged
from lilliput.graph import Array, Graph
from lilliput.host import HostModel, planned_on_host
from lilliput.image import Image
from lilliput.op import Kernel, Pick, Site, fastest, smallest
from lilliput.passes.constant_channels import checked
from lilliput.passes.order import reordered
from lilliput.plan import Plan, choose, peak_layer, plan
from lilliput.quantize import quantize
from lilliput.target import Target, load_target

Where = Literal["host", "emulator", "qemu"]
Progress = Callable[[int], None]
PICKS: Mapping[Optimize, Pick] = {"speed": fastest, "size": smallest, "ram": fastest}
RANGE_SAMPLES = 4
"""Random inputs that the instruction range is taken over, besides the golden one."""


@dataclass(frozen=True, eq=False)
class Firmware:
    """A compiled model. `folder` holds NAME.c, NAME.h, NAME.elf, NAME.lil, CMakeLists.txt and lilliput.json."""

    name: str
    graph: Graph
    plan: Plan
    emitted: emitter.Emitted
    target: Target
    image: Image
    folder: Path
    compiler: str
    optimize: Optimize

    @functools.cached_property
    def host(self) -> HostModel:
        """The shipped C on this machine; where it has a core's instructions or streams, the same layers without."""
        return planned_on_host(self.plan, self.name, self.emitted, "zig" if self.compiler == "zig" else "gcc")

    @property
    def entry(self) -> str:
        """The function that computes: of a whole input, or of what one more row allows."""
        return f"{self.name}_push_row" if self.plan.fed else f"{self.name}_run"

    @functools.cached_property
    def machine(self) -> Machine:
        return open_machine(self.image)

    @functools.cached_property
    def golden(self) -> dict[str, Array]:
        """The inputs of the embedded self-test, read from the firmware itself."""
        found = {}
        for name, function in zip(self.graph.inputs, self.emitted.inputs, strict=True):
            t = self.graph.tensors[name]
            symbol = self.image.symbol(f"{function}_golden")
            found[name] = np.frombuffer(self.machine.read(symbol.address, t.nbytes), t.dtype).reshape(t.shape)
        return found

    @functools.cached_property
    def stack(self) -> int:
        """The static bound of the stack in bytes."""
        return stack_bound(self.image, self.entry)

    @property
    def ram(self) -> int:
        """Bytes of RAM: arena, states, the bound of the stack, and statics (none)."""
        return self.plan.arena + self.plan.state_size + self.stack + self.image.ram_static

    def samples(self, x: Samples) -> dict[str, Array]:
        """N samples of each input as the device takes them: pixels the way that was recorded, floats quantized."""
        if not isinstance(x, Mapping):
            x = preprocessed(self.graph, np.asarray(x))
        return as_inputs(self.graph, x)

    def run(
        self,
        x: Samples,
        on: Where = "emulator",
        progress: Progress | None = None,
        *,
        keep_state: bool = False,
    ) -> Array:
        """The first output for N samples; uint8 pixels and floats become what the device takes."""
        return self.outputs(x, on, progress, keep_state=keep_state)[self.graph.outputs[0]]

    def outputs(
        self,
        x: Samples,
        on: Where = "emulator",
        progress: Progress | None = None,
        *,
        keep_state: bool = False,
    ) -> dict[str, Array]:
        """Every output for N samples: name -> array with the samples along dimension 0.

        With `keep_state` a sample starts from the state that the one before it left, otherwise every one from a reset.
        """
        rows = []
        with self._inference(on, keep_state) as infer:
            for i, sample in enumerate(feeds(self.graph, self.samples(x))):
                rows.append(infer(sample))
                if progress:
                    progress(i + 1)
        return joined(self.graph, rows)

    @contextlib.contextmanager
    def _inference(
        self, on: Where, keep_state: bool
    ) -> Iterator[Callable[[Mapping[str, Array]], dict[str, Array]]]:
        if on == "host":
            yield functools.partial(self.host.run, state=self.host.fresh_state() if keep_state else None)
        elif on == "emulator":
            reset_state(self, self.machine)
            yield functools.partial(on_machine, self, self.machine, keep_state=keep_state)
        else:
            with (
                linked_for_qemu(self) as linked,
                contextlib.closing(open_machine(linked.image, "qemu")) as machine,
            ):
                reset_state(linked, machine)
                yield functools.partial(on_machine, linked, machine, keep_state=keep_state)

    def reference(self, x: Samples) -> Array:
        """The numpy reference's first output for N samples."""
        return run(self.graph, self.samples(x))

    def profile(self) -> dict[str, Any]:
        """What the shipped ELF needs and does: see `profile.py`."""
        from lilliput.profile import profile

        return profile(self)

    def validate(self, x: Samples, **options: Any) -> dict[str, Any]:
        """Compare reference, host C and emulated core: see `validate.py`."""
        from lilliput.validate import validate

        return validate(self, x, **options)


@contextlib.contextmanager
def linked_for_qemu(firmware: Firmware) -> Iterator[Firmware]:
    """The same firmware at the addresses of QEMU's board, where these are not the target's own."""
    core = firmware.target
    if core.qemu is None:
        raise UserError(f"QEMU has no board with a {core.name}; run it on the emulator or on the host")
    if (firmware.image.flash_region, firmware.image.ram_region) == (core.qemu.flash, core.qemu.ram):
        yield firmware
        return
    with tempfile.TemporaryDirectory() as folder:
        image = build_firmware(
            [firmware.folder / f"{firmware.name}.c"],
            Path(folder) / f"{firmware.name}.elf",
            core,
            prefix=firmware.name,
            compiler=firmware.compiler,
            optimize=firmware.optimize,
            flash=core.qemu.flash,
            ram=core.qemu.ram,
        )
        yield replace(firmware, image=image)


def run_arguments(firmware: Firmware) -> tuple[int, ...]:
    """What NAME_run gets: the arena and its size; for a model with states the address of these, behind the arena."""
    arena = firmware.image.arena
    if not firmware.graph.states:
        return arena.origin, arena.size
    return arena.origin, firmware.plan.arena, arena.origin + firmware.plan.arena


def reset_state(firmware: Firmware, machine: Machine) -> None:
    """Let a model with states begin anew."""
    if firmware.graph.states:
        machine.call(f"{firmware.name}_reset", run_arguments(firmware)[2])


def on_machine(
    firmware: Firmware, machine: Machine, sample: Mapping[str, Array], *, keep_state: bool = False
) -> dict[str, Array]:
    """The outputs of one inference on an emulated core; it starts from a reset, or from the state that is there."""
    if not keep_state:
        reset_state(firmware, machine)
    inference(firmware, machine, sample)
    return {name: tensor_on(firmware, machine, name) for name in firmware.graph.outputs}


Caller = Callable[[str, tuple[int, ...]], Call]
"""Calls a function of the firmware."""


def inference(
    firmware: Firmware, machine: Machine, values: Mapping[str, Array], caller: Caller | None = None
) -> Call:
    """One inference. Where the input is fed by rows, the calls for them are added up."""
    call = caller or (lambda function, arguments: machine.call(function, *arguments))
    arguments, plan = run_arguments(firmware), firmware.plan
    if plan.fed is None:
        feed(firmware, machine, values)
        return _returned(firmware, call(firmware.entry, arguments), 0)
    (name,) = firmware.graph.inputs
    rows = np.ascontiguousarray(values[name])[0]
    machine.call(f"{firmware.name}_start", *arguments)
    calls = []
    for i, row in enumerate(rows):
        machine.write(firmware.image.arena.origin + plan.row(name, i)[0], row.tobytes())
        calls.append(_returned(firmware, call(firmware.entry, arguments), 0 if i == len(rows) - 1 else MORE))
    return functools.reduce(Call.then, calls)


MORE = 1
"""NAME_MORE: the next row is needed."""


def _returned(firmware: Firmware, call: Call, expected: int) -> Call:
    if call.result != expected:
        raise CheckError(f"{firmware.entry} returned {call.result} on {firmware.target.name}")
    return call


def feed(firmware: Firmware, machine: Machine, values: Mapping[str, Array]) -> None:
    """Write inputs where the plan wants them."""
    for name, value in values.items():
        address = firmware.image.arena.origin + firmware.plan.offsets[name]
        machine.write(address, np.ascontiguousarray(value).tobytes())


def tensor_on(firmware: Firmware, machine: Machine, name: str) -> Array:
    """Read a tensor out of the core's arena."""
    t = firmware.graph.tensors[name]
    content = machine.read(firmware.image.arena.origin + firmware.plan.offsets[name], t.nbytes)
    return np.frombuffer(content, t.dtype).reshape(t.shape)


def compile(
    graph: Graph,
    target: str | Target = "cortex-m4",
    *,
    name: str = "model",
    out: Path | str = "build",
    calibration: Samples | None = None,
    compiler: str = "zig",
    optimize: Optimize = "speed",
    golden: Samples | None = None,
    pick: Pick | None = None,
    ram: int | None = None,
    feed_rows: bool = False,
) -> Firmware:
    """Compile a graph for a core into the folder `out`.

    The folder changes only when all is well. A float graph is quantized when `calibration` samples are given, and stays
    float32 without. `golden` is the input of the embedded self-test. `pick` chooses among the kernels; without, it is
    the fastest, and for "size" the smallest where an operator knows its sizes. "ram" looks for the smallest arena;
    `ram` is a budget in bytes, for which instructions are given up only where it takes them. With `feed_rows` the input
    comes row by row. Raises UserError when the model does not fit, naming the layer at the peak.
    """
    if calibration is not None:
        graph = quantize(graph, calibration)
    graph = checked(graph)
    core = load_target(target) if isinstance(target, str) else target
    folder = Path(out)

    orders = dict.fromkeys((graph, reordered(graph)))  # one of them is enough for most

    def planned(limit: int | None) -> Plan:
        kernels = pick or PICKS[optimize]
        thorough = optimize == "ram"
        plans = [
            choose(order, core.isa, pick=kernels, limit=limit, thorough=thorough, feed=feed_rows)
            for order in orders
        ]
        found = min(plans, key=lambda p: p.arena)
        _fits_arena(found, core, name)
        return found

    with staged(folder) as scratch:  # a folder holds a model that was built, the last one if need be, or none
        made = _make(planned(None), name, core, scratch, compiler, optimize, golden)
        if ram is not None and made.ram > ram:
            limit = ram - (made.ram - made.plan.arena)
            made = _make(planned(limit), name, core, scratch, compiler, optimize, golden)
            _fits_budget(made, ram)
    return replace(made, folder=folder, image=replace(made.image, elf=folder / made.image.elf.name))


def _make(
    planned: Plan,
    name: str,
    core: Target,
    folder: Path,
    compiler: str,
    optimize: Optimize,
    golden: Samples | None,
) -> Firmware:
    """Write and build a planned model."""
    emitted = _emit(planned, name, golden)
    write_files(emitted, planned, core, folder, compiler, optimize)
    return _build(name, planned, emitted, core, folder, compiler, optimize)


def _emit(planned: Plan, name: str, golden: Samples | None) -> emitter.Emitted:
    """The C with its self-test. A float32 model has to repeat the host's bits, for numpy sums in another order."""
    graph = planned.graph
    inputs = emitter.random_inputs(planned)
    if golden is not None:
        inputs |= next(feeds(graph, as_inputs(graph, golden)))
    emitted = emitter.emit(planned, name, emitter.Golden(inputs))
    if all(t.dtype != "float32" for t in graph.tensors.values()):
        return emitted
    host = planned_on_host(planned, name, emitted)
    return emitter.emit(planned, name, emitter.Golden(inputs, host.run(inputs)))


def _fits_budget(firmware: Firmware, ram: int) -> None:
    if firmware.ram > ram:
        raise UserError(
            f"'{firmware.name}' needs {firmware.ram} bytes of RAM (arena {firmware.plan.arena}, stack "
            f"{firmware.stack}), the budget is {ram}; the peak is at layer '{peak_layer(firmware.plan)}'. "
            "Feed the input by rows, or choose a smaller model"
        )


def _build(
    name: str,
    planned: Plan,
    emitted: emitter.Emitted,
    core: Target,
    folder: Path,
    compiler: str,
    optimize: Optimize,
) -> Firmware:
    elf = folder / f"{name}.elf"
    try:
        image = build_firmware(
            [folder / f"{name}.c"], elf, core, prefix=name, compiler=compiler, optimize=optimize
        )
    except MemoryFullError as error:
        raise UserError(f"{error}. {_heaviest(planned)}") from error
    check_instructions(image, core)
    firmware = Firmware(name, planned.graph, planned, emitted, core, image, folder, compiler, optimize)
    if firmware.ram > image.ram_region.size:
        over = firmware.ram - image.ram_region.size
        raise UserError(
            f"'{name}' needs {firmware.ram} bytes of RAM (arena {planned.arena}, stack {firmware.stack}), {over} more "
            f"than {core.name} has ({image.ram_region.size}); the peak is at layer '{peak_layer(planned)}'. "
            "Choose a larger target, or a smaller model"
        )
    return firmware


def _heaviest(planned: Plan) -> str:
    """The layer whose constants take most of the flash."""
    sizes = [sum(t.nbytes for t in step.site.ins if t.constant) for step in planned.steps]
    size, name = max(zip(sizes, (step.site.name for step in planned.steps), strict=True))
    return f"The most constants are those of layer '{name}': {size} bytes"


def _fits_arena(planned: Plan, core: Target, name: str) -> None:
    if planned.arena > core.ram.size:
        raise UserError(
            f"'{name}' needs an arena of {planned.arena} bytes, {planned.arena - core.ram.size} more than the RAM of "
            f"{core.name} ({core.ram.size}); the peak is at layer '{peak_layer(planned)}'. "
            "Choose a larger target, or a smaller model"
        )


def open_build(folder: Path | str) -> Firmware:
    """The firmware in a build folder, from its graph and lilliput.json; its C must be what this version writes."""
    folder = Path(folder)
    facts = read_facts(folder)
    name, optimize = facts["name"], facts["optimize"]
    graph = store.load(folder / f"{name}.lil")
    core = load_target(facts["target"])
    planned = _as_built(graph, core, facts, folder)
    if (len(facts["kernels"]), facts["arena"]) != (len(planned.steps), planned.arena):
        raise UserError(
            f"'{folder}': lilliput.json tells of {len(facts['kernels'])} layers in {facts['arena']} bytes, its graph "
            f"has {len(planned.steps)} in {planned.arena}; compile the model again"
        )
    source, header = (read_text(folder / f"{name}.{ending}") for ending in ("c", "h"))
    functions = emitter.layer_names(planned, name), emitter.inputs_of(planned, name)
    emitted = emitter.Emitted(name, source, header, *functions)
    if f"#define {name.upper()}_ARENA_SIZE {planned.arena}u" not in header:
        raise UserError(
            f"'{folder}' was written by another version ({facts['version']}); compile the model again"
        )
    return _build(name, planned, emitted, core, folder, facts["compiler"], optimize)


def _as_built(graph: Graph, core: Target, facts: Mapping[str, Any], folder: Path) -> Plan:
    """The plan with the kernels and streams that lilliput.json names, layer by layer."""
    layers = [site.y.name for site in graph.sites() if not site.op.view]
    named = dict(zip(layers, facts["kernels"], strict=False))

    def same(site: Site, kernels: Sequence[Kernel]) -> Kernel:
        found = [kernel for kernel in kernels if kernel.name == named.get(site.y.name)]
        return found[0] if found else kernels[0]

    planned = plan(graph, core.isa, pick=same, streams=facts["streams"], feed=facts["feed_rows"])
    for step, name in zip(planned.steps, facts["kernels"], strict=False):
        if step.kernel.name != name:
            raise UserError(
                f"'{folder}' was built with the kernel '{name}', which this version lacks; compile it again"
            )
    return planned
