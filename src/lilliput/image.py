"""A linked firmware image: its symbols, its loadable bytes, and what each section weighs."""

import bisect
import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from lilliput.errors import UserError
from lilliput.target import Region, Target


@dataclass(frozen=True)
class Symbol:
    """A name in the ELF: address without the Thumb bit, size in bytes, and whether it is a function."""

    name: str
    address: int
    size: int
    is_function: bool


@dataclass(frozen=True)
class Section:
    """An allocated section: where it is, how long, and whether it takes up flash."""

    name: str
    address: int
    size: int
    in_flash: bool


@dataclass(frozen=True)
class FlashUse:
    """Bytes of flash the model adds to an empty firmware with the same start-up and harness."""

    code: int
    constants: int

    @property
    def total(self) -> int:
        """Code and constants, with the padding between them (counted as constants)."""
        return self.code + self.constants


@dataclass(frozen=True, eq=False)
class Image:
    """A firmware ELF on disk and what is in it."""

    elf: Path
    target: Target
    prefix: str
    flash_region: Region
    ram_region: Region
    symbols: dict[str, Symbol]
    sections: tuple[Section, ...]
    loads: tuple[tuple[int, bytes], ...]  # (flash address, content)
    code_marks: tuple[
        tuple[int, str], ...
    ]  # mapping symbols: from this address on "t", "a", "x" code or "d" data
    flash: FlashUse

    def find(self, name: str) -> Symbol | None:
        """The symbol called `name`, if there is one; a compiler's clone of it (`name.isra.0`) counts as it."""
        if name in self.symbols:
            return self.symbols[name]
        clones = [symbol for key, symbol in self.symbols.items() if key.startswith(name + ".")]
        return clones[0] if len(clones) == 1 else None

    def symbol(self, name: str) -> Symbol:
        """The symbol called `name`, or UserError."""
        found = self.find(name)
        if found is None:
            raise UserError(f"'{self.elf.name}' has no symbol '{name}'; was it inlined or removed?")
        return found

    def section(self, name: str) -> Section:
        """The section called `name`; one of size 0 if there is none."""
        found = [section for section in self.sections if section.name == name]
        return found[0] if found else Section(name, 0, 0, False)

    @property
    def arena(self) -> Region:
        """The model's arena in RAM, as the linker placed it."""
        section = self.section(".arena")
        return Region(section.address, section.size)

    @property
    def ram_static(self) -> int:
        """Bytes of .data and .bss, the arena not counted; 0 by contract."""
        return self.section(".data").size + self.section(".bss").size

    @property
    def stack(self) -> Region:
        """The RAM left for the stack: from the first byte of RAM (and any .data, .bss) up to the arena."""
        top = self.symbols["lilliput_stack_top"].address
        low = self.ram_region.origin + (self.ram_static + 7) // 8 * 8
        return Region(low, top - low)

    @functools.cached_property
    def functions(self) -> tuple[Symbol, ...]:
        """The functions, by address; of several names for one address the first that is not an alias."""
        by_address: dict[int, Symbol] = {}
        for symbol in self.symbols.values():
            if symbol.is_function and (
                symbol.address not in by_address or symbol.size > by_address[symbol.address].size
            ):
                by_address[symbol.address] = symbol
        return tuple(by_address[address] for address in sorted(by_address))

    @functools.cached_property
    def _starts(self) -> list[int]:
        return [symbol.address for symbol in self.functions]

    def describe(self, address: int) -> str:
        """`address` as function and offset, such as `digits_l3+0x1c`, for messages."""
        at = bisect.bisect_right(self._starts, address) - 1
        if at >= 0:
            symbol = self.functions[at]
            if address < symbol.address + max(symbol.size, 1):
                return f"{symbol.name}+{address - symbol.address:#x}"
        return "outside every function"

    @functools.cached_property
    def text(self) -> tuple[int, bytes]:
        """Address and bytes of the code section."""
        section = self.section(".text")
        for address, content in self.loads:
            if address <= section.address < address + len(content):
                start = section.address - address
                return section.address, content[start : start + section.size]
        return section.address, b""

    @functools.cached_property
    def function_of(self) -> np.ndarray:
        """For every halfword of the code section the index into `functions`, or -1."""
        base, content = self.text
        owner = np.full(len(content) // 2 + 1, -1, dtype=np.int32)
        for index, symbol in enumerate(self.functions):
            if base <= symbol.address < base + len(content):
                first = (symbol.address - base) // 2
                owner[first : first + (symbol.size + 1) // 2] = index
        return owner


def read_image(elf: Path, target: Target, prefix: str, flash: Region, ram: Region, use: FlashUse) -> Image:
    """The `Image` of a linked ELF file."""
    with elf.open("rb") as file:
        parsed = ELFFile(file)
        symbols, marks = _symbols(parsed, thumb=target.arch == "thumb")
        sections = tuple(
            Section(part.name, part["sh_addr"], part["sh_size"], part["sh_type"] == "SHT_PROGBITS")
            for part in parsed.iter_sections()
            if part["sh_flags"] & 2  # SHF_ALLOC
        )
        loads = tuple(
            (part["p_paddr"], bytes(part.data()))
            for part in parsed.iter_segments()
            if part["p_type"] == "PT_LOAD" and part["p_filesz"]
        )
    return Image(elf, target, prefix, flash, ram, symbols, sections, loads, marks, use)


def _symbols(parsed: ELFFile, thumb: bool) -> tuple[dict[str, Symbol], tuple[tuple[int, str], ...]]:
    """The named symbols, and the mapping symbols ($t, $a, $x, $d) as marks."""
    table = parsed.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        raise UserError("the linked file has no symbol table: it must be built with -g and not be stripped")
    symbols: dict[str, Symbol] = {}
    marks: dict[int, str] = {}
    for entry in table.iter_symbols():
        name, kind, value = entry.name, entry["st_info"]["type"], entry["st_value"]
        if name[:2] in ("$t", "$a", "$x", "$d"):
            marks[value] = name[1]
        elif name and kind != "STT_FILE" and entry["st_shndx"] != "SHN_UNDEF":
            is_function = kind == "STT_FUNC"
            address = value & ~1 if thumb and is_function else value
            symbols.setdefault(name, Symbol(name, address, entry["st_size"], is_function))
    return symbols, tuple(sorted(marks.items()))
