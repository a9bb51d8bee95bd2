"""The code section of an image as instructions: where each starts, and what capstone says it is."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import capstone
import numpy as np

from lilliput.image import Image, Symbol


@functools.cache
def starts(image: Image) -> np.ndarray:
    """For every halfword of the code section: does an instruction of a function start there?"""
    return _walk(image)[0]


@functools.cache
def known_halfwords(image: Image) -> np.ndarray:
    """For every halfword of the code section: is it part of an instruction of a function?"""
    return _walk(image)[1]


@functools.cache
def _walk(image: Image) -> tuple[np.ndarray, np.ndarray]:
    base, content = image.text
    halfwords = len(content) // 2
    begins, known = np.zeros(halfwords, dtype=bool), np.zeros(halfwords, dtype=bool)
    for function in image.functions:
        for address, size in instruction_extents(image, function):
            first = (address - base) // 2
            begins[first] = True
            known[first : first + size // 2] = True
    return begins, known


def instruction_extents(image: Image, function: Symbol) -> Iterator[tuple[int, int]]:
    """Address and size of every instruction of `function`; literal pools are left out."""
    base, content = image.text
    if not base <= function.address < base + len(content):
        return
    for low, high in code_ranges(image, function):
        address = low
        while address < high:
            size = _size(image.target.arch, content[address - base : address - base + 2])
            yield address, size
            address += size


def code_ranges(image: Image, function: Symbol) -> Iterator[tuple[int, int]]:
    """The parts of a function that are instructions, by the mapping symbols."""
    low, end = function.address, function.address + function.size
    is_code = True
    for address, kind in image.code_marks:
        if address >= end:
            break
        if address > low:
            if is_code:
                yield low, address
            low = address
        is_code = kind != "d"
    if is_code and low < end:
        yield low, end


def _size(arch: str, halfword: bytes) -> int:
    if arch == "arm":
        return 4
    if arch == "riscv":
        return 4 if halfword[0] & 3 == 3 else 2
    return 4 if halfword[1] >= 0xE8 else 2


@functools.cache
def _decoder(arch: str) -> capstone.Cs:
    modes = {
        "thumb": (
            capstone.CS_ARCH_ARM,
            capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS | capstone.CS_MODE_V8,
        ),
        "arm": (capstone.CS_ARCH_ARM, capstone.CS_MODE_ARM),
        "riscv": (capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC),
    }
    decoder = capstone.Cs(*modes[arch])
    decoder.detail = False
    return decoder


@dataclass(frozen=True)
class Instruction:
    """One machine instruction; `mnemonic` is empty where capstone does not know it (MVE)."""

    address: int
    size: int
    mnemonic: str
    operands: str

    def __str__(self) -> str:
        return f"{self.mnemonic or 'unknown'} {self.operands}".strip()


@functools.cache
def instructions(image: Image, function: Symbol) -> tuple[Instruction, ...]:
    """The instructions of `function`, decoded in order (an IT block gives conditions to what follows it)."""
    base, content = image.text
    decoder, found = _decoder(image.target.arch), list[Instruction]()
    for low, high in code_ranges(image, function):
        address = low
        while address < high:
            for at, size, mnemonic, operands in decoder.disasm_lite(
                content[address - base : high - base], address
            ):
                found.append(Instruction(at, size, mnemonic, operands))
                address = at + size
            if address < high:  # the decoder gave up: step over one instruction
                size = _size(image.target.arch, content[address - base : address - base + 2])
                found.append(
                    Instruction(address, size, "", content[address - base : address - base + size].hex())
                )
                address += size
    return tuple(found)
