"""The cores that code is built for and emulated on, read from `targets/*.toml`."""

import difflib
import functools
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lilliput.errors import UserError

_FOLDER = Path(__file__).parent / "targets"


@dataclass(frozen=True)
class Region:
    """A memory: first address and size in bytes."""

    origin: int
    size: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.origin + self.size

    def __contains__(self, address: int) -> bool:
        return self.origin <= address < self.end


@dataclass(frozen=True)
class QemuBoard:
    """A QEMU machine that has this core, and the memories of it that firmware may use."""

    system: str  # "arm" or "riscv32": which qemu-system-* it is
    machine: str
    cpu: str | None
    flash: Region
    ram: Region


@dataclass(frozen=True)
class CycleCosts:
    """Cycles per instruction for the estimate; `refill` is the least and most a taken branch adds."""

    load: float
    load_after_load: float
    store: float
    multiple_base: float  # LDM, STM, PUSH, POP: this much and one cycle per register
    multiply: float
    multiply_add: float
    multiply_long: float  # results of 64 bits
    divide: float
    float_divide: float
    float_mac: float
    vector: float  # instructions of MVE
    refill: tuple[float, float]
    scale: tuple[float, float]  # whole result: dual issue (< 1) or waiting memories (> 1)


@dataclass(frozen=True)
class Target:
    """A core: how to compile for it, where its memories are, how to emulate it, what it may execute."""

    name: str
    description: str
    arch: str  # "thumb", "arm" or "riscv"
    isa: frozenset[str]  # features that kernels ask for: "dsp", "fpu", "mve", …
    zig_target: str
    zig_cpu: str
    gcc_prefix: str
    gcc_flags: tuple[str, ...]
    flash: Region
    ram: Region
    emulator: Literal["unicorn", "qemu"]
    unicorn_cpu: str | None
    strict_alignment: bool  # the silicon cannot do misaligned accesses, but unicorn can: check them
    qemu: QemuBoard | None
    cycles: CycleCosts
    forbidden: str  # a regular expression of mnemonics this core lacks ("" = the decoder is the check)
    wide: frozenset[str] | None  # the only 4-byte instructions allowed; None = all


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _RegionFile(_Strict):
    origin: int = Field(ge=0)
    size: int = Field(gt=0, multiple_of=1024)

    def region(self) -> Region:
        return Region(self.origin, self.size)


class _ZigFile(_Strict):
    target: str
    cpu: str


class _GccFile(_Strict):
    prefix: str
    flags: tuple[str, ...]


class _QemuFile(_Strict):
    system: str
    machine: str
    cpu: str | None = None
    flash: _RegionFile
    ram: _RegionFile

    def board(self) -> QemuBoard:
        return QemuBoard(self.system, self.machine, self.cpu, self.flash.region(), self.ram.region())


class _CyclesFile(_Strict):
    load: float
    load_after_load: float
    store: float
    multiple_base: float
    multiply: float
    multiply_add: float
    multiply_long: float
    divide: float
    float_divide: float
    float_mac: float
    vector: float = 1.0
    refill: tuple[float, float]
    scale: tuple[float, float] = (1.0, 1.0)


class _InstructionsFile(_Strict):
    forbidden: str = ""
    wide: tuple[str, ...] | None = None


class _TargetFile(_Strict):
    """The layout of a file in `targets/`."""

    description: str
    arch: Literal["thumb", "arm", "riscv"]
    isa: tuple[str, ...]
    emulator: Literal["unicorn", "qemu"]
    unicorn_cpu: str | None = None
    strict_alignment: bool = False
    zig: _ZigFile
    gcc: _GccFile
    flash: _RegionFile
    ram: _RegionFile
    qemu: _QemuFile | None = None
    cycles: _CyclesFile
    instructions: _InstructionsFile = _InstructionsFile()


def target_names() -> tuple[str, ...]:
    """The names `load_target` knows, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@functools.cache
def load_target(name: str) -> Target:
    """The core called `name`, such as `cortex-m4`; an unknown name is an error that says the nearest one."""
    names = target_names()
    if name not in names:
        near = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UserError(f"unknown target '{name}': {hint}known targets are {', '.join(names)}")
    path = _FOLDER / f"{name}.toml"
    return parse_target(name, tomllib.loads(path.read_text(encoding="utf-8")))


def parse_target(name: str, data: Mapping[str, object]) -> Target:
    """A `Target` of the content of a target file."""
    try:
        file = _TargetFile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"target '{name}', key '{where}': {first['msg']}") from error
    if file.emulator == "unicorn" and file.unicorn_cpu is None:
        raise UserError(f"target '{name}': emulator is unicorn, so the key 'unicorn_cpu' is needed")
    if file.emulator == "qemu" and file.qemu is None:
        raise UserError(f"target '{name}': emulator is qemu, so the table [qemu] is needed")
    return Target(
        name=name,
        description=file.description,
        arch=file.arch,
        isa=frozenset(file.isa),
        zig_target=file.zig.target,
        zig_cpu=file.zig.cpu,
        gcc_prefix=file.gcc.prefix,
        gcc_flags=file.gcc.flags,
        flash=file.flash.region(),
        ram=file.ram.region(),
        emulator=file.emulator,
        unicorn_cpu=file.unicorn_cpu,
        strict_alignment=file.strict_alignment,
        qemu=file.qemu.board() if file.qemu else None,
        cycles=CycleCosts(**file.cycles.model_dump()),
        forbidden=file.instructions.forbidden,
        wide=frozenset(file.instructions.wide) if file.instructions.wide is not None else None,
    )
