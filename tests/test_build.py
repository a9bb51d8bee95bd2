"""Host libraries and firmware images: flags, caching, errors, and the accounting of every byte."""

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

import lilliput.build
from firmware_toys import LAYERS, TOYS, build_toy
from lilliput.build import build_firmware, build_host
from lilliput.errors import CheckError, UserError
from lilliput.target import Region, load_target, parse_target, target_names
from lilliput.toolchain import find_compiler

M4 = load_target("cortex-m4")

pytestmark = pytest.mark.slow


def write_model(folder: Path, body: str, arena: int = 64, name: str = "m") -> Path:
    """A model `m` with the given C body; gives its .c file."""
    (folder / f"{name}.h").write_text(
        f"#include <stddef.h>\n#include <stdint.h>\n#define M_ARENA_SIZE {arena}u\n#define M_ARENA_ALIGN 8u\n"
        "int m_run(void *arena, size_t arena_size);\nint m_selftest(void *arena, size_t arena_size);\n"
    )
    source = folder / f"{name}.c"
    selftest = "int m_selftest(void *arena, size_t arena_size) { return m_run(arena, arena_size); }\n"
    source.write_text(f'#include "{name}.h"\n{body}\n{selftest}')
    return source


RUN = "int m_run(void *arena, size_t n) { unsigned char *a = arena; a[0] = (unsigned char)n; return 0; }"


def test_every_target_file_is_valid():
    names = target_names()
    assert {"cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55"} < set(names)
    assert {"rv32imc", "pxa27x"} < set(names)
    assert [load_target(name).name for name in names] == list(names)
    assert "dsp" in M4.isa
    assert "dsp" not in load_target("cortex-m3").isa


def test_unknown_target_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'cortex-m4'"):
        load_target("cortex-m4f")


def test_bad_target_file_names_the_key():
    with pytest.raises(UserError, match="'odd', key 'zig'"):
        parse_target("odd", {"description": "x", "arch": "thumb", "isa": [], "emulator": "unicorn"})


def test_host_library_computes(tmp_path):
    library = ctypes.CDLL(str(build_host([TOYS / "toy.c"], [], tmp_path / "toy.so")))
    arena = ctypes.create_string_buffer(80)
    aligned = (ctypes.addressof(arena) + 7) & ~7
    library.toy_selftest.argtypes = library.toy_run.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    assert library.toy_selftest(aligned, 72) == 0
    assert library.toy_run(aligned, 71) == -2


def test_second_build_comes_from_the_cache_and_a_header_change_does_not(tmp_path, monkeypatch):
    source = write_model(tmp_path, RUN)
    first = build_host([source], [], tmp_path / "a.so").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(lilliput.build, "run_compiler", None)
        assert build_host([source], [], tmp_path / "b.so").read_bytes() == first
    header = source.with_suffix(".h")
    header.write_text(header.read_text() + "#error changed\n")
    with pytest.raises(UserError, match="changed"):
        build_host([source], [], tmp_path / "c.so")
    assert not (tmp_path / "c.so").exists()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("int m_run(void *arena, size_t n) { (void)arena; int x = n; return x; }", "implicit conversion"),
        ("int m_run(void *arena, size_t n) { (void)arena; return 0; }", "unused parameter 'n'"),
        ("int m_run(void *arena, size_t n) { int n2[n]; (void)arena; return n2[0] }", "expected ';'"),
    ],
)
def test_a_warning_is_an_error_that_shows_the_compiler_message(tmp_path, body, complaint):
    with pytest.raises(UserError, match=complaint):
        build_host([write_model(tmp_path, body)], [], tmp_path / "x.so")


def test_missing_things_are_named(tmp_path):
    with pytest.raises(UserError, match=r"nothing\.c"):
        build_host([tmp_path / "nothing.c"], [], tmp_path / "x.so")
    with pytest.raises(UserError, match="'no-such-cc' was not found"):
        find_compiler("no-such-cc")
    with pytest.raises(UserError, match="needs compiler='gcc'"):
        build_host([TOYS / "toy.c"], [], tmp_path / "x.so", sanitize="address")
    with pytest.raises(UserError, match=r"no header 'other\.h'"):
        build_firmware([TOYS / "toy.c"], tmp_path / "x.elf", M4, prefix="other")


def test_undefined_behaviour_stops_the_process(tmp_path):
    source = write_model(
        tmp_path,
        "int m_run(void *arena, size_t n) { (void)arena; int x = 0x7fffffff; return x + (int)n; }",
    )
    library = build_host([source], [], tmp_path / "m.so", sanitize="undefined")
    program = f"import ctypes; ctypes.CDLL({str(library)!r}).m_run(0, {{}}); print('survived')"
    fine = subprocess.run(
        [sys.executable, "-c", program.format(0)], capture_output=True, text=True, check=False
    )
    wrong = subprocess.run(
        [sys.executable, "-c", program.format(1)], capture_output=True, text=True, check=False
    )
    assert "survived" in fine.stdout
    assert "survived" not in wrong.stdout
    assert "overflow" in wrong.stderr


def test_flash_is_what_the_model_adds(tmp_path):
    image = build_toy("toy", "cortex-m4", tmp_path, optimize="size")
    names = [name for name in image.symbols if name.startswith("toy_")]
    assert {*LAYERS, "toy_run", "toy_input", "toy_output", "toy_selftest"} <= set(names)
    counted = [name for name in names if name != "toy_selftest"]  # the test is harness, not model
    code = sum(image.symbols[name].size for name in counted if image.symbols[name].is_function)
    assert code <= image.flash.code <= code + 2 * len(names)  # functions start on even addresses
    constants = 32 + 4  # toy_w and the golden output
    assert constants <= image.flash.constants <= constants + 3
    assert image.flash.total == image.flash.code + image.flash.constants


def test_flash_counts_a_constant_to_the_byte(tmp_path):
    """A table of 1000 more bytes, used in the same way, adds exactly 1000 bytes."""
    totals = []
    for size in (1000, 2000):
        table = ", ".join(str(i % 251) for i in range(size))
        body = f"static const unsigned char t[{size}] = {{{table}}};\n"
        body += "int m_run(void *arena, size_t n) { (void)arena; return t[n]; }"
        totals.append(build_firmware([write_model(tmp_path, body)], tmp_path / "m.elf", M4, prefix="m").flash)
    assert totals[1].constants - totals[0].constants == 1000
    assert totals[1].code == totals[0].code


@pytest.mark.parametrize("core", ["cortex-m4", "rv32imc"])
def test_arena_is_placed_as_asked_at_the_end_of_ram(tmp_path, core):
    image = build_toy("toy", core, tmp_path, ram=Region(load_target(core).ram.origin, 2048))
    assert image.arena.size == 72
    assert image.arena.origin % 8 == 0
    assert image.arena.end == image.ram_region.end
    assert image.ram_static == 0
    assert image.stack.origin == image.ram_region.origin
    assert image.arena.origin - 16 < image.stack.end <= image.arena.origin


def test_static_data_is_refused_by_name(tmp_path):
    for body, section in (("static int kept = 5;", ".data"), ("static int kept;", ".bss")):
        run = "int m_run(void *arena, size_t n) { (void)arena; kept += (int)n; return kept; }"
        with pytest.raises(CheckError, match=rf"4 bytes of {section} \(kept\)"):
            build_firmware([write_model(tmp_path, body + run)], tmp_path / "m.elf", M4, prefix="m")


def test_flash_overflow_says_by_how_much(tmp_path):
    table = ", ".join(str(i % 251) for i in range(3000))
    body = f"static const unsigned char t[3000] = {{{table}}};\n"
    source = write_model(tmp_path, body + "int m_run(void *arena, size_t n) { (void)arena; return t[n]; }")
    roomy = build_firmware([source], tmp_path / "m.elf", M4, prefix="m")
    used = roomy.symbols["lilliput_flash_end"].address - M4.flash.origin
    flash = Region(M4.flash.origin, 2048)
    with pytest.raises(UserError, match=f"FLASH overflows by {used - 2048} bytes"):
        build_firmware([source], tmp_path / "m.elf", M4, prefix="m", flash=flash)


def test_arena_larger_than_ram_says_by_how_much(tmp_path):
    source = write_model(tmp_path, RUN, arena=5000)
    with pytest.raises(UserError, match="arena of 5000 bytes is 904 bytes larger than the RAM of 4096"):
        build_firmware([source], tmp_path / "m.elf", M4, prefix="m", ram=Region(M4.ram.origin, 4096))


@pytest.mark.cross
@pytest.mark.parametrize("core", target_names())
def test_gcc_builds_the_same_model(tmp_path, core):
    image = build_toy("toy", core, tmp_path, compiler="gcc", optimize="size")
    assert image.arena.size == 72
    assert 32 <= image.flash.constants <= 39  # gcc may turn the golden output into immediates


@pytest.mark.cross
@pytest.mark.parametrize("sanitize", [None, "undefined"])
def test_host_gcc(tmp_path, sanitize):
    library = build_host([TOYS / "toy.c"], [], tmp_path / "toy.so", compiler="gcc", sanitize=sanitize)
    assert library.stat().st_size > 0
