"""Firmware of a small network for one core: files, runs, proofs, figures, and which folders are believed."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lilliput.emulate.stack import stack_bound
from lilliput.errors import UserError
from lilliput.firmware import Firmware, compile, open_build
from lilliput.graph import Array, Graph
from lilliput.ops.binary import Add
from lilliput.plan import choose
from lilliput.target import Region, load_target
from small_graphs import Builder, int8, small_cnn

FILES = ["CMakeLists.txt", "lilliput.json", "net.c", "net.elf", "net.h", "net.lil"]


def samples(count: int, seed: int = 4) -> Array:
    return np.random.default_rng(seed).normal(0, 1.5, (count, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    out = tmp_path_factory.mktemp("net") / "build"
    return compile(small_cnn(["a", "b"]), "cortex-m4", name="net", out=out, calibration=samples(50))


@pytest.fixture
def folder(built: Firmware, tmp_path: Path) -> Path:
    """A copy of the build folder, to be tampered with."""
    return Path(shutil.copytree(built.folder, tmp_path / "build"))


def test_the_folder_holds_what_is_promised(built: Firmware) -> None:
    assert sorted(p.name for p in built.folder.iterdir()) == FILES
    facts = json.loads((built.folder / "lilliput.json").read_text())
    assert facts["target"] == "cortex-m4"
    assert facts["arena"] == built.plan.arena
    cmake = (built.folder / "CMakeLists.txt").read_text()
    assert "add_library(net STATIC net.c)" in cmake
    assert "C_STANDARD 99 C_EXTENSIONS OFF" in cmake
    assert "target_compile_options(net PRIVATE -ffp-contract=off)" in cmake


def test_reference_host_and_core_are_equal(built: Firmware) -> None:
    x = samples(6, 9)
    expected = built.reference(x)
    seen: list[int] = []
    assert np.array_equal(built.run(x, "host"), expected)
    assert np.array_equal(built.run(x, progress=seen.append), expected)
    assert seen == [1, 2, 3, 4, 5, 6]
    assert expected.dtype == np.int8
    assert len(np.unique(expected)) > 10


def test_an_opened_folder_is_the_same_firmware(built: Firmware, folder: Path) -> None:
    again = open_build(folder)
    assert (again.emitted, again.plan.arena) == (built.emitted, built.plan.arena)
    assert again.image.flash == built.image.flash
    assert again.stack == built.stack
    x = samples(2)
    assert np.array_equal(again.run(x), built.run(x))
    assert again.graph.meta == built.graph.meta
    assert again.graph.meta["labels"] == ["a", "b"]


def test_validate_tells_that_all_agree(built: Firmware) -> None:
    assert built.validate(samples(5)) == {
        "samples": 5,
        "target": "cortex-m4",
        "layers": len(built.plan.steps),
        "layer_samples": 4,
        "bit_exact": True,
        "first_difference": None,
    }
    with pytest.raises(UserError, match="there is no sample to validate with"):
        built.validate(samples(0))


def test_profile_equals_the_linker_and_adds_up(built: Firmware) -> None:
    found = built.profile()
    image = built.image
    assert found["ram"]["arena"] == built.plan.arena == image.section(".arena").size
    assert found["flash"]["total"] == found["flash"]["code"] + found["flash"]["constants"]
    assert found["flash"]["constants"] >= built.graph.weight_bytes()
    assert found["ram"]["static"] == image.section(".data").size + image.section(".bss").size == 0
    assert found["ram"]["total"] == found["ram"]["arena"] + found["ram"]["stack"]
    layers = found["layers"]
    assert len(layers) == len(built.plan.steps)
    rest = found["instructions"] - sum(layer["instructions"] for layer in layers)
    assert 0 < rest < 60, "what NAME_run itself needs"
    assert sum(layer["macs"] for layer in layers) == found["macs"] == built.graph.macs()
    low, high = found["instructions_range"]
    assert low <= found["instructions"] <= high
    assert 0 < found["cycles_estimate"][0] <= found["cycles_estimate"][1]
    assert found["ram"]["stack"] >= found["stack_measured"] > 0
    assert stack_bound(image, "net_run") == found["ram"]["stack"]
    json.dumps(found)


def test_the_golden_input_is_the_one_given(tmp_path: Path) -> None:
    graph = int8(small_cnn())
    x = samples(3, 77)
    made = compile(graph, "cortex-m4", name="net", out=tmp_path, golden=x)
    assert np.array_equal(made.golden["x0"], graph.tensors["x0"].q.quantize(x[:1], "int8"))
    assert made.machine.selftest() == 0


def test_a_float_model_agrees_in_every_bit_with_the_host(tmp_path: Path) -> None:
    made = compile(small_cnn(), "cortex-m4", name="net", out=tmp_path)
    x = samples(2)
    assert np.array_equal(made.run(x, "host"), made.run(x))
    found = made.validate(x)
    assert found["bit_exact"]
    assert 0 <= found["reference_error"] < 1e-4
    assert made.machine.selftest() == 0


# --- a build folder is not believed ---

Tamper = Callable[[Path], object]


def facts_with(**changes: object) -> Tamper:
    def tamper(folder: Path) -> None:
        path = folder / "lilliput.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return tamper


def without(key: str) -> Tamper:
    def tamper(folder: Path) -> None:
        path = folder / "lilliput.json"
        facts = json.loads(path.read_text())
        del facts[key]
        path.write_text(json.dumps(facts))

    return tamper


def write(name: str, content: str) -> Tamper:
    return lambda folder: (folder / name).write_text(content)


TAMPERED: dict[str, tuple[Tamper, str]] = {
    "a path as name": (facts_with(name="../../etc/passwd"), "cannot be the model's name"),
    "a number as name": (facts_with(name=7), "lilliput.json is not readable"),
    "another name": (facts_with(name="other"), "'.*other.lil' does not exist"),
    "a program as compiler": (facts_with(compiler="/bin/rm"), "compiler is '/bin/rm'"),
    "a list as compiler": (facts_with(compiler=["zig"]), "compiler is"),
    "unknown target": (facts_with(target="z80"), "z80"),
    "a path as target": (facts_with(target="../../targets/cortex-m4"), "unknown target"),
    "unknown optimization": (facts_with(optimize="-fplugin=x"), "optimize is '-fplugin=x'"),
    "unknown kernel": (facts_with(kernels=["system"] * 6), "kernel 'system', which this version lacks"),
    "kernels are text": (facts_with(kernels="conv_s8"), "kernels is 'conv_s8'"),
    "too few kernels": (facts_with(kernels=[]), "tells of 0 layers"),
    "streams of text": (facts_with(streams="all"), "streams is 'all'"),
    "a stream beyond the layers": (facts_with(streams=[[0, 99]]), "layers 0 to 99 cannot be a stream"),
    "streams that overlap": (facts_with(streams=[[0, 1], [1, 2]]), "layers 1 to 2 cannot be a stream"),
    "a stream that cannot run by rows": (facts_with(streams=[[0, 5]]), "cannot run row by row"),
    "input that cannot come by rows": (facts_with(feed_rows=True, streams=[]), "fed by rows only where"),
    "another arena": (facts_with(arena=4), "in 4 bytes"),
    "no target": (without("target"), "lilliput.json is not readable"),
    "no arena": (without("arena"), "lilliput.json is not readable"),
    "no version": (without("version"), "lilliput.json is not readable"),
    "not JSON": (write("lilliput.json", "{"), "lilliput.json is not readable"),
    "a list": (write("lilliput.json", "[1]"), "lilliput.json is not readable"),
    "nested JSON": (write("lilliput.json", "[" * 100_000), "lilliput.json is not readable"),
    "another arena in the header": (
        lambda f: write("net.h", re.sub(r"(_SIZE) \d+u", r"\1 4u", (f / "net.h").read_text()))(f),
        "was written by another version",
    ),
    "no C": (lambda f: (f / "net.c").unlink(), "cannot read '.*net.c'"),
    "broken C": (write("net.c", "int"), "building 'net' on cortex-m4"),
    "no graph": (lambda f: (f / "net.lil").unlink(), "'.*net.lil' does not exist"),
    "broken graph": (write("net.lil", "PK"), "cannot be read as a .lil graph"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_tampered_folder_is_refused(what: str, folder: Path) -> None:
    tamper, message = TAMPERED[what]
    tamper(folder)
    with pytest.raises(UserError, match=message):
        open_build(folder)


def test_a_folder_without_a_build_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read '.*lilliput.json'"):
        open_build(tmp_path)


def test_one_kernel_more_than_layers_is_refused(folder: Path) -> None:
    facts = json.loads((folder / "lilliput.json").read_text())
    facts_with(kernels=[*facts["kernels"], "conv_s8"])(folder)
    with pytest.raises(UserError, match="compile the model again"):
        open_build(folder)


# --- what does not fit ---


def wide(height: int, channels: int) -> Graph:
    b = Builder()
    x = b.conv(b.input(1, height, 8, 3), channels, name="wide")
    return int8(b.graph(b.conv(x, 2, 1, name="narrow")))


def test_an_arena_over_the_ram_names_the_peak_and_the_missing_bytes(tmp_path: Path) -> None:
    core = load_target("cortex-m4")
    small = replace(core, ram=Region(core.ram.origin, 1024))
    graph = wide(16, 64)
    missing = choose(graph, core.isa).arena - 1024
    with pytest.raises(UserError) as error:
        compile(graph, small, name="net", out=tmp_path / "b")
    assert f"{missing} more than the RAM of cortex-m4 (1024)" in str(error.value)
    assert "the peak is at layer '" in str(error.value)
    assert re.search(r"layer '(wide|narrow)'", str(error.value))
    assert not (tmp_path / "b").exists()


def test_arena_and_stack_together_over_the_ram(tmp_path: Path) -> None:
    graph = wide(8, 16)
    core = load_target("cortex-m4")
    arena = choose(graph, core.isa).arena
    tight = replace(core, ram=Region(core.ram.origin, arena + 16))
    with pytest.raises(UserError, match=r"needs \d+ bytes of RAM|overflows by") as error:
        compile(graph, tight, name="net", out=tmp_path / "b")
    assert "smaller model" in str(error.value)
    assert not (tmp_path / "b").exists(), "nothing is left of a build that failed"


def test_constants_over_the_flash(tmp_path: Path) -> None:
    core = load_target("cortex-m4")
    small = replace(core, flash=Region(core.flash.origin, 8192))
    b = Builder()
    graph = int8(b.graph(b.linear(b.input(1, 200), 100)))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "mine.txt").write_text("")
    with pytest.raises(UserError, match=r"(?i)flash overflows by \d+ bytes"):
        compile(graph, small, name="net", out=tmp_path / "b")
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["mine.txt"]


def content(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


@pytest.mark.parametrize("memory", ["flash", "ram"])
def test_a_build_that_fails_leaves_the_one_before(memory: str, folder: Path) -> None:
    (folder / "CMakeLists.txt").write_text("project(mine)")
    before = content(folder), {p.name for p in folder.parent.iterdir()}
    core = load_target("cortex-m4")
    graph = wide(8, 16)
    size = {"flash": 2048, "ram": choose(graph, core.isa).arena + 16}[memory]
    tight = replace(core, **{memory: Region(getattr(core, memory).origin, size)})
    with pytest.raises(UserError, match=r"needs \d+ bytes of RAM|overflows by"):
        compile(graph, tight, name="net", out=folder)
    assert (content(folder), {p.name for p in folder.parent.iterdir()}) == before


def test_a_build_replaces_the_one_before_and_is_the_same_wherever(built: Firmware, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "build"
    first = compile(int8(small_cnn()), "cortex-m4", name="net", out=out)
    assert (out / "net.elf").read_bytes() != (built.folder / "net.elf").read_bytes()
    again = compile(small_cnn(["a", "b"]), "cortex-m4", name="net", out=out, calibration=samples(50))
    assert content(out) == content(built.folder)
    assert (again.folder, again.image.elf) == (out, out / "net.elf") == (first.folder, first.image.elf)
    assert open_build(out).emitted == again.emitted
    assert content(out) == content(built.folder), "opening it builds the same file"


def test_a_folder_in_the_place_of_a_file_is_named_before_anything_moves(tmp_path: Path) -> None:
    (tmp_path / "net.lil").mkdir()
    with pytest.raises(UserError, match=r"cannot write '.*net.lil': it is a folder"):
        compile(int8(small_cnn()), "cortex-m4", name="net", out=tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["net.lil"]


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write to '.*file/b'"):
        compile(int8(small_cnn()), "cortex-m4", name="net", out=tmp_path / "file" / "b")


def test_two_inputs_take_samples_by_name(tmp_path: Path) -> None:
    b = Builder()
    graph = int8(b.graph(b.add(Add(), b.input(1, 4), b.input(1, 4))))
    made = compile(graph, "cortex-m4", name="net", out=tmp_path)
    assert made.machine.selftest() == 0
    first, second = graph.inputs
    for use in (made.run, made.validate, made.reference, made.samples):
        with pytest.raises(
            UserError, match=f"has 2 inputs; give samples for each by name: {first}, {second}"
        ):
            use(np.zeros((1, 4), np.float32))
        with pytest.raises(
            UserError, match=f"samples are for {first}; the model's inputs are {first}, {second}"
        ):
            use({first: np.zeros((1, 4), np.float32)})
    rng = np.random.default_rng(1)
    xs = {name: rng.integers(-128, 128, (5, 4)).astype(np.int8) for name in graph.inputs}
    np.testing.assert_array_equal(made.run(xs), made.reference(xs))
    assert made.validate(xs)["bit_exact"]
    with pytest.raises(UserError, match="different numbers of samples"):
        made.run({first: xs[first], second: xs[second][:3]})
    found = made.profile()
    assert found["instructions"] > 0
    assert [layer["op"] for layer in found["layers"]] == ["add"]
    low, high = found["instructions_range"]
    assert low <= found["instructions"] <= high


@pytest.mark.cross
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m55"])
def test_qemu_runs_what_was_built_for_the_core(core: str, tmp_path: Path) -> None:
    """Its board has other addresses than the target: the firmware is linked for them on the way."""
    made = compile(int8(small_cnn()), core, name="net", out=tmp_path)
    x = samples(3, 9)
    before = (tmp_path / "net.elf").read_bytes()
    assert np.array_equal(made.run(x, "qemu"), made.reference(x))
    assert made.validate(x, on="qemu")["bit_exact"]
    assert (tmp_path / "net.elf").read_bytes() == before
    assert made.image.flash_region == made.target.flash


def test_a_core_that_qemu_lacks_is_refused(built: Firmware) -> None:
    lacking = replace(built, target=replace(built.target, qemu=None))
    with pytest.raises(UserError, match="QEMU has no board with a cortex-m4; run it on the emulator"):
        lacking.run(samples(1), "qemu")
