"""The emulated cores: results, exact counts, faults, traces, stack bounds; in unicorn and in QEMU."""

import re
import time

import numpy as np
import pytest
import unicorn

from firmware_toys import LAYERS, UNICORN_CORES, build_toy, toy_layers
from lilliput.emulate import FirmwareFault, Machine, open_machine, trace, unicorn_machine
from lilliput.emulate.allowed import check_instructions
from lilliput.emulate.cycles import cycles_estimate
from lilliput.emulate.disassembly import instructions
from lilliput.emulate.stack import stack_bound
from lilliput.errors import CheckError, UserError
from lilliput.image import Image
from lilliput.target import load_target, target_names

pytestmark = pytest.mark.slow

ALL_CORES = target_names()
CONDITIONAL = re.compile(r"(eq|ne|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)(\.w)?$")


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    """Machines with a toy firmware by (toy, core), made once."""
    folder = tmp_path_factory.mktemp("firmware")
    made: dict[tuple[str, str], Machine] = {}

    def machine(toy: str, core: str) -> Machine:
        if (toy, core) not in made:
            made[toy, core] = open_machine(build_toy(toy, core, folder))
        return made[toy, core]

    yield machine
    for one in made.values():
        one.close()


def samples(count: int) -> np.ndarray:
    return np.random.default_rng(5).integers(-128, 128, (count, 32)).astype(np.int8)


def arena_args(image: Image) -> tuple[int, int]:
    return image.arena.origin, image.arena.size


def check_toy(machine: Machine, x: np.ndarray) -> list[int]:
    """Run the toy on `x` with a trace: every layer equal to numpy, the counts consistent."""
    image, seen = machine.image, []

    def on_stop(name: str) -> None:
        offset, size = {"toy_l0": (32, 32), "toy_l1": (32, 32), "toy_l2": (64, 4)}[name]
        seen.append(np.frombuffer(machine.read(image.arena.origin + offset, size), dtype=np.int8))

    machine.write(image.arena.origin, x.tobytes())
    traced = trace(machine, "toy_run", arena_args(image), LAYERS, on_stop)
    for got, expected in zip(seen, toy_layers(x), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert traced.result == 0
    assert [name for name, _ in traced.by_segment] == list(LAYERS)
    own = traced.by_function["toy_run"]
    assert sum(count for _, count in traced.by_segment) + own == traced.instructions
    assert sum(traced.by_function.values()) == traced.instructions
    machine.write(image.arena.origin, x.tobytes())
    plain = machine.call("toy_run", *arena_args(image))
    assert (plain.instructions, plain.by_function) == (traced.instructions, traced.by_function)
    assert plain.stack_bytes == traced.stack_bytes
    return [count for _, count in traced.by_segment]


@pytest.mark.parametrize("core", UNICORN_CORES)
def test_toy_equals_numpy_in_every_layer(machines, core):
    machine = machines("toy", core)
    for x in samples(5):
        check_toy(machine, x)
    assert machine.selftest() == 0
    assert machine.call("toy_run", machine.image.arena.origin, 71).result == -2


@pytest.mark.parametrize("core", UNICORN_CORES)
def test_a_layer_in_tail_position_is_traced(machines, core):
    machine, names = machines("toy", core), []
    machine.write(machine.image.arena.origin, samples(1)[0].tobytes())
    traced = trace(machine, "toy_tail", arena_args(machine.image)[:1], LAYERS, names.append)
    assert names == list(LAYERS)
    assert traced.result == toy_layers(samples(1)[0])[2][0]
    assert sum(count for _, count in traced.by_segment) < traced.instructions


@pytest.mark.parametrize("core", UNICORN_CORES)
def test_counts_equal_a_hook_on_every_instruction(tmp_path, core):
    """The block counter against unicorn's slow per-instruction hook: another mechanism, the same number.

    The hook is not called for an instruction whose condition fails; the counter counts it, as QEMU does: the
    core fetches it and spends a cycle on it.
    """
    machine = unicorn_machine.UnicornMachine(build_toy("toy", core, tmp_path, optimize="size"))
    image, executed = machine.image, list[int]()
    machine._engine.hook_add(unicorn.UC_HOOK_CODE, lambda engine, at, size, user: executed.append(at))
    counts = machine.call("toy_run", *arena_args(image)).counts
    base = image.text[0]
    hooked = np.bincount((np.array(executed) - base) // 2, minlength=len(counts.executed))
    for function in image.functions:
        for one in instructions(image, function):
            at = (one.address - base) // 2
            skipped = counts.executed[at] - hooked[at]
            assert skipped == 0 or (skipped > 0 and CONDITIONAL.search(one.mnemonic)), one
    assert len(executed) > 500
    machine.close()


def test_a_thousand_calls_are_quick_and_alike(machines):
    machine = machines("toy", "cortex-m4")
    start = time.perf_counter()
    counts = {machine.call("toy_run", *arena_args(machine.image)).instructions for _ in range(1000)}
    assert len(counts) == 1
    assert (
        time.perf_counter() - start < 5.0
    )  # 0.05 s here: only a machine made anew per call would take seconds


@pytest.mark.parametrize("core", UNICORN_CORES)
def test_faults_name_the_function_and_the_address(machines, core):
    machine = machines("bad", core)
    image = machine.image
    top = image.arena.end
    cases = [
        ("bad_write", (image.arena.origin, 64), rf"write outside its memory at {top:#010x}.* in bad_write\+"),
        ("bad_flash", (0,), r"write to flash at 0x0[48].* in bad_flash\+"),
        ("bad_null", (4,), r"read outside its memory at 0x00000004 \(4 bytes\) in bad_null\+"),
        (
            "bad_recursion",
            (1 << 20,),
            rf"write outside its memory at {image.ram_region.origin - 8 >> 8:#08x}.* in bad_r",
        ),
        ("bad_ram_code", (image.arena.origin | machine_bit(image),), "execution of RAM"),
    ]
    for function, args, message in cases:
        with pytest.raises(FirmwareFault, match=message):
            machine.call(function, *args)
        assert machine.call("bad_write", image.arena.origin, 63).result == 7  # the machine is usable again


@pytest.mark.parametrize("core", ["cortex-m0plus", "rv32imc", "pxa27x"])
def test_a_misaligned_access_is_a_fault_where_the_core_cannot(machines, core):
    machine = machines("bad", core)
    arena = machine.image.arena.origin
    with pytest.raises(FirmwareFault, match=r"(misaligned access at 0x\w+1|exception 4) in bad_null\+"):
        machine.call("bad_null", arena + 1)
    machine.call("bad_null", arena + 4)
    machines("bad", "cortex-m4").call("bad_null", machines("bad", "cortex-m4").image.arena.origin + 1)


def machine_bit(image: Image) -> int:
    return 1 if image.target.arch == "thumb" else 0


def test_a_run_without_end_is_stopped(machines, monkeypatch):
    monkeypatch.setattr(unicorn_machine, "_BLOCK_BUDGET", 1 << 20)
    with pytest.raises(FirmwareFault, match=r"a run without end in bad_endless\+"):
        machines("bad", "cortex-m4").call("bad_endless")


def test_a_trace_given_up_leaves_the_machine_usable(machines):
    machine = machines("toy", "cortex-m4")

    def give_up(name: str) -> None:
        raise KeyError(name)

    with pytest.raises(KeyError, match="toy_l0"):
        trace(machine, "toy_run", arena_args(machine.image), LAYERS, give_up)
    check_toy(machine, samples(1)[0])


def test_outside_writes_are_checked(machines):
    machine = machines("toy", "cortex-m4")
    with pytest.raises(UserError, match="outside the RAM"):
        machine.write(machine.image.arena.end - 3, b"1234")
    with pytest.raises(UserError, match="at most 4 arguments"):
        machine.call("toy_run", 1, 2, 3, 4, 5)
    with pytest.raises(UserError, match="no symbol 'toy_l9'"):
        machine.call("toy_l9")


@pytest.mark.parametrize("core", UNICORN_CORES)
@pytest.mark.parametrize("optimize", ["speed", "size"])
def test_stack_bound_holds_and_is_tight(tmp_path, core, optimize):
    for toy, values in (("toy", range(1)), ("frames", range(6))):
        image = build_toy(toy, core, tmp_path, optimize=optimize)
        machine, seen = open_machine(image), 0
        for value in values:
            machine.write(image.arena.origin, bytes([value] * 4))
            size = image.arena.size if toy == "toy" else 64 + value
            seen = max(seen, machine.call(f"{toy}_run", image.arena.origin, size).stack_bytes)
        machine.close()
        bound = stack_bound(image, f"{toy}_run")
        assert seen <= bound <= seen + 64
        assert check_instructions(image, image.target) > 50


@pytest.mark.parametrize("core", ["cortex-m4", "rv32imc", "pxa27x", "cortex-m0plus"])
def test_no_stack_bound_for_recursion_or_indirect_calls(machines, core):
    image = machines("bad", core).image
    with pytest.raises(CheckError, match="recursion has no stack bound: bad_recursion -> bad_recursion"):
        stack_bound(image, "bad_recursion")
    with pytest.raises(CheckError, match=r"indirect call .* in bad_indirect\+"):
        stack_bound(image, "bad_indirect")


@pytest.mark.parametrize(
    ("built_for", "core"),
    [("cortex-m4", "cortex-m0plus"), ("cortex-m33", "cortex-m3"), ("cortex-m3", "cortex-m0plus")],
)
def test_instructions_of_a_larger_core_are_found(tmp_path, built_for, core):
    image = build_toy("frames", built_for, tmp_path)
    with pytest.raises(CheckError, match=f"{core} cannot execute '"):
        check_instructions(image, load_target(core))


def test_cycles_are_a_range_around_the_instructions(machines):
    machine = machines("toy", "cortex-m4")
    call = machine.call("toy_run", *arena_args(machine.image))
    low, high = cycles_estimate(call.counts, machine.image.target)
    assert call.instructions < low < high < 3 * call.instructions
    taken = int(call.counts.taken.sum())
    assert high - low == 2 * taken  # refill of 1 to 3 cycles
    assert cycles_estimate(call.counts, machine.image.target, wait_states=5) == (low, high + 5 * taken)


def test_the_m55_is_refused_by_unicorn(tmp_path):
    with pytest.raises(UserError, match="cannot be emulated by unicorn"):
        open_machine(build_toy("toy", "cortex-m55", tmp_path), "unicorn")


@pytest.mark.cross
@pytest.mark.parametrize("core", ALL_CORES)
def test_qemu_agrees_to_the_instruction(tmp_path, core):
    board = load_target(core).qemu
    assert board is not None
    image = build_toy("toy", core, tmp_path, flash=board.flash, ram=board.ram)
    second = open_machine(image, "qemu")
    try:
        segments = [check_toy(second, x) for x in samples(2)]
        assert second.selftest() == 0
        ours = second.call("toy_run", *arena_args(image))
        assert stack_bound(image, "toy_run") - 64 <= ours.stack_bytes <= stack_bound(image, "toy_run")
        if load_target(core).emulator == "unicorn":
            first = open_machine(image, "unicorn")
            assert segments == [check_toy(first, x) for x in samples(2)]
            theirs = first.call("toy_run", *arena_args(image))
            assert (ours.by_function, ours.stack_bytes) == (theirs.by_function, theirs.stack_bytes)
            first.close()
    finally:
        second.close()


@pytest.mark.cross
def test_a_fault_in_qemu_names_the_function(tmp_path):
    board = load_target("cortex-m4").qemu
    assert board is not None
    machine = open_machine(build_toy("bad", "cortex-m4", tmp_path, flash=board.flash, ram=board.ram), "qemu")
    try:
        with pytest.raises(FirmwareFault, match=r"exception in bad_write\+"):
            machine.call("bad_write", 0x40000000, 0x30000000)
    finally:
        machine.close()


@pytest.mark.cross
def test_firmware_for_another_board_is_refused_by_qemu(tmp_path):
    with pytest.raises(UserError, match=r"build with flash=target\.qemu\.flash"):
        open_machine(build_toy("toy", "cortex-m4", tmp_path), "qemu")


@pytest.mark.cross
@pytest.mark.parametrize("core", UNICORN_CORES)
def test_gcc_firmware_computes_the_same(tmp_path, core):
    for optimize in ("speed", "size"):
        image = build_toy("toy", core, tmp_path, optimize=optimize, compiler="gcc")
        machine = open_machine(image)
        for x in samples(2):
            check_toy(machine, x)
        bound = stack_bound(image, "toy_run")
        seen = machine.call("toy_run", *arena_args(image)).stack_bytes
        assert seen <= bound <= seen + 64
        check_instructions(image, image.target)
        machine.close()
