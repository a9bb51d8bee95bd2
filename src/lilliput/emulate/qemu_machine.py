"""The second emulator: QEMU through its gdb stub, a plugin counts; the only one with a Cortex-M55.

Jumps taken may come out a little higher than in unicorn: QEMU ends blocks at page borders.
"""

import mmap
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lilliput.build import build_host
from lilliput.emulate.gdb_remote import GdbError, GdbRemote
from lilliput.emulate.machine import (
    PAINT,
    Call,
    Counts,
    FirmwareFault,
    check_arguments,
    function_address,
    signed,
    stack_used,
)
from lilliput.errors import UserError
from lilliput.image import Image
from lilliput.target import QemuBoard
from lilliput.toolchain import cache_dir

_PAINTED = 16 * 1024  # bytes of stack that are watched
_TIMEOUT = 300.0  # seconds for one run


@dataclass(frozen=True)
class _Registers:
    """Register numbers of the gdb protocol."""

    args: tuple[int, ...]
    sp: int
    link: int
    pc: int


_ARM = _Registers((0, 1, 2, 3), 13, 14, 15)
_RISCV = _Registers((10, 11, 12, 13), 2, 1, 32)


def _command(image: Image) -> tuple[QemuBoard, list[str]]:
    """QEMU with the firmware in it; checks that the firmware was linked for this machine."""
    board = image.target.qemu
    if board is None:
        raise UserError(f"target '{image.target.name}' has no QEMU machine")
    program = f"qemu-system-{board.system}"
    path = shutil.which(program)
    if path is None:
        raise UserError(
            f"'{program}' was not found on PATH; install QEMU, or use the default emulator 'unicorn'"
        )
    for ours, theirs, what in (
        (image.flash_region, board.flash, "flash"),
        (image.ram_region, board.ram, "ram"),
    ):
        if ours.origin < theirs.origin or ours.end > theirs.end:
            raise UserError(
                f"'{image.elf.name}' was linked for {what} at {ours.origin:#x}, but QEMU's '{board.machine}' "
                f"has {theirs.size} bytes at {theirs.origin:#x}: build with flash=target.qemu.flash and "
                "ram=target.qemu.ram"
            )
    command = [path, "-M", board.machine, *(["-cpu", board.cpu] if board.cpu else [])]
    command += ["-display", "none", "-monitor", "none", "-serial", "none", "-accel", "tcg,thread=single"]
    if board.system == "riscv32":
        command += ["-bios", "none"]
    return board, [*command, "-kernel", str(image.elf)]


class QemuMachine:
    """A `Machine` in QEMU. Memory is the whole board's, so a wild access faults only outside of that."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self._numbers = _RISCV if image.target.arch == "riscv" else _ARM
        self._return = image.symbol("lilliput_return").address
        self._unexpected = [s.address for name, s in image.symbols.items() if name == "lilliput_unexpected"]
        self._halfwords = len(image.text[1]) // 2
        self._folder = tempfile.TemporaryDirectory(prefix="lilliput-")
        self._window = min(_PAINTED, image.stack.size)
        self._shared = self._map_counts()
        self._words = np.frombuffer(self._shared, dtype=np.uint64)
        self._process = self._launch()
        weakref.finalize(self, self._process.kill)  # nobody has to call close()
        try:
            self._gdb = self._attach()
            self._start_up()
        except BaseException:
            self._process.kill()
            raise

    def _map_counts(self) -> mmap.mmap:
        self._file = Path(self._folder.name) / "counts"
        size = (1 + 2 * self._halfwords) * 8
        self._file.write_bytes(bytes(size))
        with self._file.open("r+b") as handle:
            return mmap.mmap(handle.fileno(), size)

    def _launch(self) -> "subprocess.Popen[bytes]":
        plugin = build_host([Path(__file__).with_name("qemu_counter.c")], [], cache_dir() / "qemu_counter.so")
        _, command = _command(self.image)
        base = self.image.text[0]
        command += ["-S", "-chardev", f"socket,path={self._folder.name}/gdb,server=on,wait=off,id=gdb"]
        command += ["-gdb", "chardev:gdb"]
        command += ["-plugin", f"{plugin},counts={self._file},base={base:#x},halfwords={self._halfwords}"]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def _attach(self) -> GdbRemote:
        try:
            return GdbRemote(Path(self._folder.name) / "gdb", lambda: self._process.poll() is None)
        except GdbError as error:
            self._process.kill()
            _, said = self._process.communicate()
            raise UserError(
                f"QEMU did not start: {said.decode(errors='replace').strip() or error}"
            ) from error

    def _start_up(self) -> None:
        """Run the reset handler up to the harness: it enables FPU and MVE."""
        main = self.image.symbol("lilliput_main").address
        self._gdb.set_register(self._numbers.pc, self.image.symbol("Reset_Handler").address)
        self._dirty = self._window
        for address in (self._return, *self._unexpected):
            self._gdb.set_breakpoint(address, 2)
        if self.resume([main]) != main:
            raise FirmwareFault(f"'{self.image.elf.name}': start-up did not reach the harness")

    def write(self, address: int, data: bytes) -> None:
        """Write to RAM, from outside."""
        region = self.image.ram_region
        if address not in region or address + len(data) > region.end:
            raise UserError(f"write of {len(data)} bytes at {address:#x}: outside the RAM")
        self._gdb.write(address, data)

    def read(self, address: int, size: int) -> bytes:
        """Read memory, from outside."""
        return self._gdb.read(address, size)

    def call(self, function: str | int, *args: int) -> Call:
        """Run a function with up to four integer arguments until it returns."""
        self.start(function, *args)
        self.resume()
        return self.finish()

    def start(self, function: str | int, *args: int) -> None:
        """Set up a call: paint the stack, clear the counts, set the registers."""
        check_arguments(args)
        top = self.image.stack.end
        self._gdb.write(top - self._dirty, bytes([PAINT]) * self._dirty)
        self._dirty = self._window
        self._words[:] = 0
        thumb = 1 if self.image.target.arch == "thumb" else 0
        self._gdb.set_register(self._numbers.sp, top)
        self._gdb.set_register(self._numbers.link, self._return | thumb)
        for number, value in zip(self._numbers.args, args, strict=False):
            self._gdb.set_register(number, value)
        self._gdb.set_register(self._numbers.pc, function_address(self.image, function))

    def resume(self, stops: Iterable[int] = ()) -> int | None:
        """Run until the call returns (None), or until before the instruction at one of `stops` (gives it)."""
        wanted = [stop for stop in stops if stop != self._return]
        for address in wanted:
            self._gdb.set_breakpoint(address, 2)
        in_time = self._gdb.resume(_TIMEOUT)
        for address in wanted:
            self._gdb.clear_breakpoint(address, 2)
        pc = self._gdb.register(self._numbers.pc)
        if not in_time:
            raise FirmwareFault(self._describe("a run without end", pc))
        if pc in self._unexpected:
            stacked = int.from_bytes(self._gdb.read(self._gdb.register(self._numbers.sp) + 24, 4), "little")
            raise FirmwareFault(self._describe("exception", stacked))
        return None if pc == self._return else pc

    def _describe(self, what: str, pc: int) -> str:
        where = self.image.describe(pc)
        return f"'{self.image.elf.name}' on {self.image.target.name} (QEMU): {what} in {where} (pc {pc:#x})"

    def return_address(self) -> int:
        """The link register, without the Thumb bit."""
        return self._gdb.register(self._numbers.link) & ~1

    def counts(self) -> Counts:
        """What was executed since `start`."""
        words = self._words.astype(np.int64)
        return Counts(self.image, words[1 : 1 + self._halfwords], words[1 + self._halfwords :])

    def finish(self) -> Call:
        """The finished call: result, stack, counts."""
        painted = self._gdb.read(self.image.stack.end - self._window, self._window)
        used = stack_used(np.frombuffer(painted, dtype=np.uint8))
        if used == self._window < self.image.stack.size:
            raise FirmwareFault(
                f"'{self.image.elf.name}': more than the {self._window} watched bytes of stack in use"
            )
        self._dirty = used
        return Call(signed(self._gdb.register(self._numbers.args[0])), used, self.counts())

    def selftest(self) -> int:
        """Run the firmware from reset, in a QEMU of its own, to its exit through semihosting."""
        _, command = _command(self.image)
        command += ["-semihosting-config", "enable=on,target=native"]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TIMEOUT, check=False
        )
        return done.returncode if done.returncode < 128 else done.returncode - 256

    def close(self) -> None:
        """End QEMU."""
        self._gdb.close()
        self._process.kill()
        self._process.communicate()
        del self._words
        self._shared.close()
        self._folder.cleanup()
