"""Boards as values, read from `data/*.toml`: every number carries the document it was taken from."""

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lilliput.errors import UserError

_FOLDER = Path(__file__).parent / "data"

Core = Literal[
    "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc", "pxa27x"
]
Evidence = Literal["seen", "from-memory"]


@dataclass(frozen=True)
class Source:
    """Where a number comes from; `page` is None where the page was not seen (repositories have none)."""

    title: str
    number: str | None
    revision: str | None
    kind: str
    evidence: (
        Evidence  # "seen": read in the document named here; "from-memory": recalled, not looked up again
    )
    page: int | None
    at: str | None  # table, section, or path in a repository

    def __str__(self) -> str:
        parts = [self.title, self.number, self.revision, f"p. {self.page}" if self.page else None, self.at]
        text = ", ".join(part for part in parts if part)
        return text if self.evidence == "seen" else f"{text} (from memory)"


@dataclass(frozen=True)
class Figure:
    """One whole number and its source."""

    value: int
    source: Source


@dataclass(frozen=True)
class Active:
    """The supply current while code runs, as a data sheet gives it: per megahertz, or at one clock."""

    ua_per_mhz: float
    supply_v: float
    condition: str
    at_hz: int | None  # the clock it was measured at; None for a figure that is per megahertz already
    source: Source

    def watts(self, clock_hz: int) -> float:
        """Power at a clock, taking the current as proportional to it (leakage is small while code runs)."""
        return self.ua_per_mhz * 1e-6 * (clock_hz / 1e6) * self.supply_v


@dataclass(frozen=True)
class Board:
    """A board, or a bare part: one core of it, with the memory that one program can use."""

    name: str
    part: str
    vendor: str
    core: Core
    fpu: bool
    dsp: bool
    mve: bool
    note: str
    clock: Figure  # highest core clock, Hz
    flash: Figure  # bytes
    sram: Figure  # bytes in one contiguous block, what an arena can have
    sram_total: Figure  # bytes of all blocks
    flash_wait_states: Figure | None
    active: Active | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Document(_Strict):
    title: str = Field(min_length=1)
    number: str | None = None
    revision: str | None = None
    kind: str = Field(min_length=1)
    evidence: Evidence


class _Cited(_Strict):
    doc: str
    page: int | None = Field(default=None, ge=1)
    at: str | None = None


class _Figure(_Cited):
    value: int = Field(ge=0)


class _Active(_Cited):
    ma: float | None = Field(default=None, gt=0)
    at_hz: int | None = Field(default=None, gt=0)
    ua_per_mhz: float | None = Field(default=None, gt=0)
    supply_v: float = Field(gt=0.5, lt=6)
    condition: str = Field(min_length=1)

    @model_validator(mode="after")
    def _one_form(self) -> "_Active":
        if (self.ma is None) == (self.ua_per_mhz is None) or (self.ma is None) != (self.at_hz is None):
            raise ValueError("give either ma and at_hz, or ua_per_mhz")
        return self


class _Board(_Strict):
    name: str = Field(min_length=1)
    part: str = Field(min_length=1)
    vendor: str = Field(min_length=1)
    core: Core
    fpu: bool
    dsp: bool
    mve: bool
    note: str = ""
    clock_hz: _Figure
    flash: _Figure
    sram: _Figure
    sram_total: _Figure | None = None
    flash_wait_states: _Figure | None = None
    active: _Active | None = None


class _File(_Strict):
    documents: dict[str, _Document]
    boards: list[_Board]


@functools.cache
def load_boards(folder: Path = _FOLDER) -> tuple[Board, ...]:
    """All boards of all files, by name; a file that breaks the schema is an error that names file and key."""
    found: dict[str, tuple[Board, Path]] = {}
    for path in sorted(folder.glob("*.toml")):
        for board in _read(path):
            if board.name in found:
                raise UserError(
                    f"{path.name}: board {board.name!r} is already in {found[board.name][1].name}; "
                    "names must differ"
                )
            found[board.name] = board, path
    if not found:
        raise UserError(f"{folder}: no board data (*.toml) found; reinstall Lilliput")
    return tuple(board for _, (board, _) in sorted(found.items()))


def _read(path: Path) -> list[Board]:
    try:
        file = _File.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{path.name}: not readable as TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path.name}: {where}: {first['msg']} (found {first['input']!r})") from error
    unused = set(file.documents)
    boards = [_board(path, file, board, unused) for board in file.boards]
    if unused:
        raise UserError(
            f"{path.name}: documents that nothing cites: {', '.join(sorted(unused))}; delete them"
        )
    return boards


def _board(path: Path, file: _File, raw: _Board, unused: set[str]) -> Board:
    def source(cited: _Cited, key: str) -> Source:
        document = file.documents.get(cited.doc)
        if document is None:
            raise UserError(
                f"{path.name}: {raw.name}.{key} cites {cited.doc!r}; "
                f"known documents: {', '.join(sorted(file.documents))}"
            )
        if document.evidence == "from-memory" and cited.page is not None:
            raise UserError(
                f"{path.name}: {raw.name}.{key} names a page of a document that was not seen; leave it out"
            )
        unused.discard(cited.doc)
        return Source(**document.model_dump(), page=cited.page, at=cited.at)

    def figure(cited: _Figure, key: str) -> Figure:
        return Figure(cited.value, source(cited, key))

    sram = figure(raw.sram, "sram")
    total = figure(raw.sram_total, "sram_total") if raw.sram_total else sram
    if total.value < sram.value:
        raise UserError(f"{path.name}: {raw.name}: sram_total {total.value} is less than sram {sram.value}")
    return Board(
        name=raw.name,
        part=raw.part,
        vendor=raw.vendor,
        core=raw.core,
        fpu=raw.fpu,
        dsp=raw.dsp,
        mve=raw.mve,
        note=raw.note,
        clock=figure(raw.clock_hz, "clock_hz"),
        flash=figure(raw.flash, "flash"),
        sram=sram,
        sram_total=total,
        flash_wait_states=figure(raw.flash_wait_states, "flash_wait_states")
        if raw.flash_wait_states
        else None,
        active=_active(raw.active, source(raw.active, "active")) if raw.active else None,
    )


def _active(raw: _Active, source: Source) -> Active:
    per_mhz = raw.ua_per_mhz
    if raw.ma is not None and raw.at_hz is not None:
        per_mhz = raw.ma * 1e3 / (raw.at_hz / 1e6)
    assert per_mhz is not None  # the schema asks for one of the two forms
    return Active(per_mhz, raw.supply_v, raw.condition, raw.at_hz, source)
