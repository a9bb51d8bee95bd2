"""Compiles generated C: a shared library for the host, or firmware with exact memory accounting."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from lilliput.errors import CheckError, UserError
from lilliput.image import FlashUse, Image, Section, read_image
from lilliput.target import Region, Target
from lilliput.toolchain import COMMON, Compiler, cached, deliver, find_compiler, inputs_hash, run_compiler

Sanitizer = Literal["undefined", "address"]
Optimize = Literal["speed", "size", "ram"]

_FIRMWARE_C = Path(__file__).parent / "firmware_c"
_LEVEL = {"speed": "-O3", "size": "-Os", "ram": "-O3"}
_STARTUP = {"thumb": "startup_thumb.c", "arm": "startup_arm.S", "riscv": "startup_riscv.S"}
# No jump tables: with them the targets of a jump are not in the code, and the stack bound needs every one.
_FREESTANDING = (
    "-fno-jump-tables",
    "-ffreestanding",
    "-ffunction-sections",
    "-fdata-sections",
    "-fomit-frame-pointer",
    "-fno-unwind-tables",
    "-fno-asynchronous-unwind-tables",
)


def build_host(
    sources: Sequence[Path],
    include_dirs: Sequence[Path],
    out: Path,
    *,
    compiler: str = "zig",
    sanitize: Sanitizer | None = None,
    defines: Sequence[str] = (),
) -> Path:
    """Compile `sources` to the shared library `out` for ctypes; the same inputs give it from the cache.

    `sanitize` "undefined" makes the library stop the process with a message at the first undefined behaviour;
    "address" needs gcc or clang, and its runtime preloaded where the library is used.
    """
    tool = find_compiler(compiler)
    if sanitize == "address" and tool.is_zig:
        raise UserError("sanitize='address' needs compiler='gcc' or 'clang': zig brings no address sanitizer")
    flags = [*COMMON, "-O2", "-fPIC", "-shared", *(f"-D{define}" for define in defines)]
    flags += [f"-I{folder.resolve()}" for folder in include_dirs]
    if sanitize is None:
        flags += ["-fno-sanitize=undefined"] if tool.is_zig else []
    else:
        flags += [f"-fsanitize={sanitize}", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    words = [tool.version, *flags]
    names = [str(path.resolve()) for path in sources]

    def make(made: Path) -> None:
        what = f"compiling {', '.join(path.name for path in sources)} for the host"
        run_compiler(tool, [*flags, "-o", str(made), *names], what)

    return deliver(cached(inputs_hash(sources, include_dirs, words), ".so", make), out)


def build_firmware(
    sources: Sequence[Path],
    out_elf: Path,
    target: Target,
    *,
    prefix: str,
    compiler: str = "zig",
    optimize: Optimize = "speed",
    flash: Region | None = None,
    ram: Region | None = None,
    extra: Sequence[str] = (),
) -> Image:
    """Compile and link the model `prefix` (.c files, the .h beside) with start-up and harness to `out_elf`.

    `flash` and `ram` replace the target's memories; `extra` are further compiler flags. Raises `UserError`
    when a memory overflows (by how much) and `CheckError` when the model has .data or .bss.
    """
    flash, ram = flash or target.flash, ram or target.ram
    tool = find_compiler(compiler, target.gcc_prefix)
    flags = [*_flags(tool, target, optimize), *extra]
    empty = _link(
        tool, target, [], flags, _script(flash, ram, None, ()), f"the empty firmware for {target.name}"
    )
    keep = _declared(sources, prefix)
    model_flags = [
        f'-DLILLIPUT_MODEL_HEADER="{prefix}.h"',
        f"-DLILLIPUT_ARENA_SIZE={prefix.upper()}_ARENA_SIZE",
        f"-DLILLIPUT_ARENA_ALIGN={prefix.upper()}_ARENA_ALIGN",
        f"-DLILLIPUT_STATE_SIZE={prefix.upper()}_STATE_SIZE",
    ]
    with_model = [_FIRMWARE_C / "arena.c", *(path.resolve() for path in sources)]
    script = _script(flash, ram, prefix, keep)
    made = _link(tool, target, with_model, [*flags, *model_flags], script, f"'{prefix}' on {target.name}")
    nothing = FlashUse(0, 0)
    base = read_image(empty, target, prefix, flash, ram, nothing)
    image = read_image(deliver(made, out_elf), target, prefix, flash, ram, nothing)
    ours = sum(_harness_bytes(one) * sign for one, sign in ((image, 1), (base, -1)))
    test, vectors = _selftest_bytes(image)
    added = _flash_bytes(image) - _flash_bytes(base) - ours - test - vectors
    code = image.section(".text").size - base.section(".text").size - ours - test
    image = replace(image, flash=FlashUse(code, added - code))
    _check(image)
    return image


def _selftest_bytes(image: Image) -> tuple[int, int]:
    """Code and golden vectors of the model's self-test: part of the test harness, so not of what the model needs.

    A product that does not call it does not link it.
    """
    test = image.symbols.get(f"{image.prefix}_selftest")
    vectors = [s.size for s in image.symbols.values() if s.name.endswith("_golden") and not s.is_function]
    return (test.size if test else 0), sum(vectors)


def _harness_bytes(image: Image) -> int:
    """The size of start-up and harness: linker relaxation may change it by where things lie."""
    names = (
        "Reset_Handler",
        "lilliput_main",
        "lilliput_return",
        "lilliput_unexpected",
        "lilliput_semihosting",
    )
    return sum(image.symbols[name].size for name in names if name in image.symbols)


def _flash_bytes(image: Image) -> int:
    return image.symbols["lilliput_flash_end"].address - image.flash_region.origin


def _flags(tool: Compiler, target: Target, optimize: Optimize) -> list[str]:
    """Compile and link flags that do not depend on the model."""
    flags = [*COMMON, *_FREESTANDING, _LEVEL[optimize], "-Wl,--gc-sections"]
    if tool.is_zig:
        flags += ["-target", target.zig_target, f"-mcpu={target.zig_cpu}", "-fno-sanitize=undefined"]
        flags += ["-nodefaultlibs", "-Wl,-e,Reset_Handler"]
    else:
        # Identical layers stay two functions: the trace tells layers apart by their functions.
        flags += [*target.gcc_flags, "-fno-ipa-icf", "-nostdlib", "-Wl,--build-id=none"]
    return flags


def _declared(sources: Sequence[Path], prefix: str) -> tuple[str, ...]:
    """The functions that the model's header declares: its interface, kept by the linker."""
    headers = [path.with_suffix(".h") for path in sources]
    found = [header for header in headers if header.name == f"{prefix}.h" and header.is_file()]
    if not found:
        raise UserError(
            f"no header '{prefix}.h' beside the sources {', '.join(path.name for path in sources)}"
        )
    text = found[0].read_text(encoding="utf-8")
    code = re.sub(r"/\*.*?\*/|//[^\n]*|^\s*#[^\n]*", "", text, flags=re.DOTALL | re.MULTILINE)
    return tuple(dict.fromkeys(re.findall(rf"\b({prefix}_\w+)\s*\(", code)))


def _script(flash: Region, ram: Region, prefix: str | None, keep: Sequence[str]) -> str:
    """The linker script, its template filled in."""
    values = {
        "flash_origin": f"{flash.origin:#x}",
        "flash_size": f"{flash.size:#x}",
        "ram_origin": f"{ram.origin:#x}",
        "ram_size": f"{ram.size:#x}",
        "keep": " ".join(keep) or "Reset_Handler",
        "alias": f"lilliput_selftest = {prefix}_selftest;" if prefix else "",
    }
    template = (_FIRMWARE_C / "link.ld").read_text(encoding="utf-8")
    return re.sub(r"@(\w+)@", lambda match: values[match.group(1)], template)


def _link(
    tool: Compiler,
    target: Target,
    sources: Sequence[Path],
    flags: Sequence[str],
    script: str,
    what: str,
) -> Path:
    """Compile and link `sources` with the start-up and the harness; gives the ELF in the cache.

    Nothing in it tells the folder of the sources: the same model is the same file, wherever it is built.
    """
    ours = [_FIRMWARE_C / _STARTUP[target.arch], _FIRMWARE_C / "harness.c"]
    if not tool.is_zig:
        ours.append(_FIRMWARE_C / "memory.c")
    everything = [*ours, *sources]
    libraries = [] if tool.is_zig else ["-lgcc"]
    key = inputs_hash(everything, [path.parent for path in sources], [tool.version, *flags, script])

    def make(made: Path) -> None:
        script_file = made.with_suffix(".ld")
        script_file.write_text(script, encoding="utf-8")
        names = [str(path) for path in everything]
        folders = sorted({path.parent for path in sources})
        places = [flag for f in folders for flag in (f"-I{f}", f"-ffile-prefix-map={f}=.")]
        arguments = [*flags, *places, f"-Wl,-T,{script_file}", "-o", str(made), *names, *libraries]
        try:
            run_compiler(tool, arguments, f"building {what}")
        except UserError as error:
            if full := _overflow(error, what):
                raise full from error
            raise

    return cached(key, ".elf", make)


class MemoryFullError(UserError):
    """Linking failed because a memory is too small; says which one and by how much."""


def _overflow(error: UserError, what: str) -> MemoryFullError | None:
    """The linker's complaint about a full memory in our words; None for any other error."""
    found = re.findall(r"region [`'](\w+)'[^\n]*overflowed by (\d+) bytes", str(error))
    if not found:
        return None
    region, size = max(found, key=lambda item: int(item[1]))
    return MemoryFullError(
        f"{what}: {region} overflows by {size} bytes; choose a target or board with more, or a smaller model"
    )


def _check(image: Image) -> None:
    """The contracts the linker does not check: no static data, an arena inside the RAM."""
    for name in (".data", ".bss"):
        section = image.section(name)
        if section.size:
            culprits = [s.name for s in image.symbols.values() if _inside(s.address, section) and s.size]
            raise CheckError(
                f"'{image.prefix}' has {section.size} bytes of {name} ({', '.join(culprits)}); "
                "a model keeps nothing outside its arena"
            )
    if image.arena.size > image.ram_region.size:
        over = image.arena.size - image.ram_region.size
        raise UserError(
            f"'{image.prefix}' on {image.target.name}: the arena of {image.arena.size} bytes is {over} bytes "
            f"larger than the RAM of {image.ram_region.size}; choose a target or board with more RAM, or a "
            "smaller model"
        )


def _inside(address: int, section: Section) -> bool:
    return section.address <= address < section.address + section.size
