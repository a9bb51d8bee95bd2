"""What every emulated core can do: hold memory, run a function of the firmware, and tell exactly what ran."""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lilliput.emulate.disassembly import known_halfwords, starts
from lilliput.errors import CheckError, UserError
from lilliput.image import Image

PAINT = 0xA5


class FirmwareFault(CheckError):  # noqa: N818 - "fault" is the field's word
    """The firmware did what the core or its memory map forbids; the message names the function."""


@dataclass(frozen=True, eq=False)
class Counts:
    """What was executed, by halfword of the code section (index 0 is its first address)."""

    image: Image
    executed: np.ndarray  # how often the halfword at this index was executed
    taken: np.ndarray  # how often a jump was taken from the instruction that ends with this halfword

    @functools.cached_property
    def instructions(self) -> int:
        """The number of executed instructions."""
        strange = int(self.executed[~known_halfwords(self.image)].sum())
        if strange:
            raise CheckError(
                f"'{self.image.elf.name}' executed {strange} halfwords outside every function symbol"
            )
        return int(self.executed[starts(self.image)].sum())

    def by_function(self) -> dict[str, int]:
        """Executed instructions of each function that ran, callees not included, most first."""
        where = np.flatnonzero(starts(self.image) & (self.executed > 0))
        owner = self.image.function_of[where]
        sums = np.bincount(owner, weights=self.executed[where], minlength=1)
        found = {self.image.functions[i].name: int(sums[i]) for i in np.flatnonzero(sums)}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    def minus(self, earlier: "Counts") -> "Counts":
        """What was executed since `earlier`."""
        return Counts(self.image, self.executed - earlier.executed, self.taken - earlier.taken)

    def plus(self, later: "Counts") -> "Counts":
        """What both executed."""
        return Counts(self.image, self.executed + later.executed, self.taken + later.taken)


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a firmware function that returned."""

    result: int  # the returned register as a signed 32-bit integer
    stack_bytes: int  # from the stack pointer at the call down to the lowest byte written
    counts: Counts
    by_segment: tuple[tuple[str, int], ...] = ()  # instructions of each traced function, callees included

    @property
    def instructions(self) -> int:
        """The number of executed instructions."""
        return self.counts.instructions

    def then(self, later: "Call") -> "Call":
        """Two calls as one."""
        stack = max(self.stack_bytes, later.stack_bytes)
        segments = self.by_segment + later.by_segment
        return Call(later.result, stack, self.counts.plus(later.counts), segments)

    @functools.cached_property
    def by_function(self) -> dict[str, int]:
        """Executed instructions of each function, callees not included."""
        return self.counts.by_function()


class Machine(Protocol):
    """An emulated core with a firmware in it; start-up has run, the stack is free.

    `call` is what most want. `start`, `resume`, `counts` and `finish` are its parts, for traces.
    """

    @property
    def image(self) -> Image:
        """The firmware in it."""

    def write(self, address: int, data: bytes) -> None:
        """Write to RAM, from outside."""

    def read(self, address: int, size: int) -> bytes:
        """Read memory, from outside."""

    def call(self, function: str | int, *args: int) -> Call:
        """Run a function with up to four integer arguments until it returns."""

    def start(self, function: str | int, *args: int) -> None:
        """Set up a call: paint the stack, clear the counts, set the registers."""

    def resume(self, stops: Iterable[int] = ()) -> int | None:
        """Run until the call returns (None), or until before the instruction at one of `stops` (gives it)."""

    def return_address(self) -> int:
        """The link register, without the Thumb bit."""

    def counts(self) -> Counts:
        """What was executed since `start`."""

    def finish(self) -> Call:
        """The finished call: result, stack, counts."""

    def selftest(self) -> int:
        """Run the firmware from reset to its exit through semihosting; gives the exit status, signed."""

    def close(self) -> None:
        """Let go of the emulator."""


def function_address(image: Image, function: str | int) -> int:
    """The address of a function given by name or address, without the Thumb bit."""
    return image.symbol(function).address if isinstance(function, str) else function & ~1


def check_arguments(args: Sequence[int]) -> None:
    """A call from outside passes its arguments in registers only."""
    if len(args) > 4:
        raise UserError(f"a firmware call takes at most 4 arguments in registers, not {len(args)}")


def signed(word: int) -> int:
    """A 32-bit register as a signed integer."""
    word &= 0xFFFFFFFF
    return word - (1 << 32) if word >> 31 else word


def stack_used(painted: np.ndarray) -> int:
    """Bytes of a painted stack that were written, counted from its end (the top)."""
    written = painted != PAINT
    lowest = int(written.argmax())
    return len(painted) - lowest if written[lowest] else 0
