"""The default emulator: unicorn, with the exact memory map of the firmware and native counting."""

import contextlib
import ctypes
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import unicorn
from unicorn import arm_const, riscv_const
from unicorn.unicorn_py3.unicorn import Uc, UcError, uclib

from lilliput.build import build_host
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
from lilliput.target import Target
from lilliput.toolchain import cache_dir

_BLOCK_BUDGET = 1 << 33  # blocks in one call: minutes; only a loop without end needs more
_SYSTEM = (0xE000E000, 0x1000)  # Cortex-M system control space: start-up enables the FPU there
_SYS_EXIT_EXTENDED = 0x20
_NO_ADDRESS = 1  # odd: never the address of a block

_ACCESS = {
    unicorn.UC_MEM_READ_UNMAPPED: "read outside its memory",
    unicorn.UC_MEM_WRITE_UNMAPPED: "write outside its memory",
    unicorn.UC_MEM_FETCH_UNMAPPED: "jump outside its memory",
    unicorn.UC_MEM_READ_PROT: "forbidden read",
    unicorn.UC_MEM_WRITE_PROT: "write to flash",
    unicorn.UC_MEM_FETCH_PROT: "execution of RAM",
}


@dataclass(frozen=True)
class _Registers:
    pc: int
    sp: int
    link: int
    args: tuple[int, ...]


_ARM = _Registers(
    arm_const.UC_ARM_REG_PC,
    arm_const.UC_ARM_REG_SP,
    arm_const.UC_ARM_REG_LR,
    (arm_const.UC_ARM_REG_R0, arm_const.UC_ARM_REG_R1, arm_const.UC_ARM_REG_R2, arm_const.UC_ARM_REG_R3),
)
_RISCV = _Registers(
    riscv_const.UC_RISCV_REG_PC,
    riscv_const.UC_RISCV_REG_SP,
    riscv_const.UC_RISCV_REG_RA,
    (
        riscv_const.UC_RISCV_REG_A0,
        riscv_const.UC_RISCV_REG_A1,
        riscv_const.UC_RISCV_REG_A2,
        riscv_const.UC_RISCV_REG_A3,
    ),
)


class _Counter(ctypes.Structure):
    """`lilliput_counter_t` of block_counter.c."""

    _fields_ = (
        ("base", ctypes.c_uint64),
        ("halfwords", ctypes.c_uint64),
        ("edges", ctypes.c_void_p),
        ("taken", ctypes.c_void_p),
        ("stops", ctypes.c_void_p),
        ("stop", ctypes.c_void_p),
        ("resume", ctypes.c_uint64),
        ("previous_end", ctypes.c_uint64),
        ("outside", ctypes.c_uint64),
        ("budget", ctypes.c_uint64),
        ("misaligned", ctypes.c_uint64),
    )


@functools.cache
def _native_hooks() -> ctypes.CDLL:
    source = Path(__file__).with_name("block_counter.c")
    return ctypes.CDLL(str(build_host([source], [], cache_dir() / "block_counter.so")))


def _engine(target: Target) -> Uc:
    """An empty core. UC_MODE_MCLASS is left out on purpose: with it unicorn silently takes another core."""
    if target.unicorn_cpu is None:
        raise UserError(f"target '{target.name}' cannot be emulated by unicorn; use QEMU")
    if target.arch == "riscv":
        engine = Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
        engine.ctl_set_cpu_model(getattr(riscv_const, f"UC_CPU_{target.unicorn_cpu}"))
        return engine
    mode = unicorn.UC_MODE_THUMB if target.arch == "thumb" else unicorn.UC_MODE_ARM
    engine = Uc(unicorn.UC_ARCH_ARM, mode)
    engine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{target.unicorn_cpu}"))
    return engine


class UnicornMachine:
    """A `Machine` in unicorn; `call` keeps the engine and its translated code, so that calls are cheap."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self._registers = _RISCV if image.target.arch == "riscv" else _ARM
        self._thumb = 1 if image.target.arch == "thumb" else 0
        self._return = image.symbol("lilliput_return").address
        self._fault: str | None = None
        self._exit: int | None = None
        self._engine = _engine(image.target)
        self._map()
        self._add_hooks()
        self._dirty = 0
        self._start_up()

    def _map(self) -> None:
        image = self.image
        flash, ram = image.flash_region, image.ram_region
        for region in (flash, ram):
            if region.origin % 1024 or region.size % 1024:
                raise UserError(
                    f"memory {region.origin:#x}, {region.size} bytes: the emulator maps whole KB only"
                )
        self._engine.mem_map(flash.origin, flash.size, unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC)
        # The RAM is an array of ours, so that reading and painting the stack costs no copy.
        self._ram = np.zeros(ram.size, dtype=np.uint8)
        rights = unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE
        self._engine.mem_map_ptr(ram.origin, ram.size, rights, self._ram.ctypes.data)
        low = image.stack.origin - ram.origin
        self._stack = self._ram[low : low + image.stack.size]
        for address, content in image.loads:
            self._engine.mem_write(address, content)
        self._paint(image.stack.size)

    def _add_hooks(self) -> None:
        base, content = self.image.text
        halfwords = len(content) // 2
        self._edges = np.zeros(halfwords + 1, dtype=np.int64)
        self._taken = np.zeros(halfwords, dtype=np.uint64)
        self._stops = np.zeros(halfwords, dtype=np.uint8)
        self._counter = _Counter(
            base=base,
            halfwords=halfwords,
            edges=self._edges.ctypes.data,
            taken=self._taken.ctypes.data,
            stops=self._stops.ctypes.data,
            stop=ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value,
            resume=_NO_ADDRESS,
            budget=_BLOCK_BUDGET,
        )
        self._add_native_hook(unicorn.UC_HOOK_BLOCK, "lilliput_block")
        if self.image.target.strict_alignment:
            self._add_native_hook(unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE, "lilliput_access")
        self._engine.hook_add(unicorn.UC_HOOK_MEM_INVALID, self._on_bad_access)
        self._engine.hook_add(unicorn.UC_HOOK_INTR, self._on_interrupt)

    def _add_native_hook(self, kind: int, function: str) -> None:
        """Let unicorn call a C function of ours; its Python interface only knows Python functions."""
        handle = ctypes.c_size_t()
        status = uclib.uc_hook_add(
            self._engine._uch,
            ctypes.byref(handle),
            ctypes.c_int(kind),
            ctypes.cast(_native_hooks()[function], ctypes.c_void_p),
            ctypes.byref(self._counter),
            ctypes.c_uint64(1),
            ctypes.c_uint64(0),
        )
        if status != unicorn.UC_ERR_OK:
            raise RuntimeError(f"unicorn refused the hook {function}: error {status}")

    def _start_up(self) -> None:
        """Run the reset handler up to the harness: it enables the FPU."""
        main = self.image.symbol("lilliput_main").address
        with self._system_control():
            self._set_up(self.image.symbol("Reset_Handler").address, ())
            if self.resume([main]) != main:
                raise FirmwareFault(f"'{self.image.elf.name}': start-up did not reach the harness")

    @contextlib.contextmanager
    def _system_control(self) -> Iterator[None]:
        """The Cortex-M system registers, there during start-up only: a model has no business with them."""
        if self.image.target.arch != "thumb":
            yield
            return
        self._engine.mem_map(*_SYSTEM, unicorn.UC_PROT_READ | unicorn.UC_PROT_WRITE)
        try:
            yield
        finally:
            self._engine.mem_unmap(*_SYSTEM)

    def write(self, address: int, data: bytes) -> None:
        """Write to RAM, from outside."""
        region = self.image.ram_region
        if address not in region or address + len(data) > region.end:
            raise UserError(f"write of {len(data)} bytes at {address:#x}: outside the RAM")
        start = address - region.origin
        self._ram[start : start + len(data)] = np.frombuffer(data, dtype=np.uint8)

    def read(self, address: int, size: int) -> bytes:
        """Read memory, from outside."""
        region = self.image.ram_region
        if address in region and address + size <= region.end:
            return self._ram[address - region.origin : address - region.origin + size].tobytes()
        return bytes(self._engine.mem_read(address, size))

    def call(self, function: str | int, *args: int) -> Call:
        """Run a function with up to four integer arguments until it returns."""
        self.start(function, *args)
        self.resume()
        return self.finish()

    def start(self, function: str | int, *args: int) -> None:
        """Set up a call: paint the stack, clear the counts, set the registers."""
        check_arguments(args)
        self._set_up(function_address(self.image, function), args)

    def _set_up(self, address: int, args: tuple[int, ...]) -> None:
        self._paint(self._dirty)
        self._edges.fill(0)
        self._taken.fill(0)
        self._counter.resume, self._counter.previous_end, self._counter.budget = _NO_ADDRESS, 0, _BLOCK_BUDGET
        engine, registers = self._engine, self._registers
        engine.reg_write(registers.sp, self.image.stack.end)
        engine.reg_write(registers.link, self._return | self._thumb)
        for register, value in zip(registers.args, args, strict=False):
            engine.reg_write(register, value & 0xFFFFFFFF)
        self._pc = address

    def _paint(self, size: int) -> None:
        self._stack[len(self._stack) - size :] = PAINT
        self._dirty = 0

    def resume(self, stops: Iterable[int] = ()) -> int | None:
        """Run until the call returns (None), or until before the instruction at one of `stops` (gives it)."""
        wanted = [(stop - self._counter.base) // 2 for stop in stops]
        self._stops[wanted] = 1
        self._fault = None
        self._counter.resume, self._counter.misaligned = self._pc, 0
        self._dirty = self.image.stack.size
        try:
            self._engine.emu_start(self._pc | self._thumb, self._return)
        except UcError as error:
            # RISC-V: EBREAK arrives as an invalid instruction.
            if not (error.errno == unicorn.UC_ERR_INSN_INVALID and self._semihosting(self._engine)):
                self._fault = self._fault or str(error)
        finally:
            self._stops[wanted] = 0
        self._pc = int(self._engine.reg_read(self._registers.pc)) & ~1
        if self._counter.misaligned:
            self._fault = f"misaligned access at {self._counter.misaligned:#010x}"
        if self._fault is not None:
            raise FirmwareFault(self._describe(self._fault))
        if self._pc == self._return or self._exit is not None:
            return None
        if self._counter.budget == 0:
            raise FirmwareFault(self._describe("a run without end"))
        return self._pc

    def _describe(self, what: str) -> str:
        where = self.image.describe(self._pc)
        return f"'{self.image.elf.name}' on {self.image.target.name}: {what} in {where} (pc {self._pc:#x})"

    def return_address(self) -> int:
        """The link register, without the Thumb bit."""
        return int(self._engine.reg_read(self._registers.link)) & ~1

    def counts(self) -> Counts:
        """What was executed since `start`."""
        return Counts(self.image, np.cumsum(self._edges[:-1]), self._taken.astype(np.int64))

    def finish(self) -> Call:
        """The finished call: result, stack, counts."""
        used = stack_used(self._stack)
        self._dirty = used
        result = signed(int(self._engine.reg_read(self._registers.args[0])))
        return Call(result, used, self.counts())

    def selftest(self) -> int:
        """Run the firmware from reset to its exit through semihosting; gives the exit status, signed."""
        self._exit = None
        self._ram[:] = 0
        self._dirty = self.image.stack.size
        with self._system_control():
            self._set_up(self.image.symbol("Reset_Handler").address, ())
            self.resume()
        if self._exit is None:
            raise FirmwareFault(f"'{self.image.elf.name}': the self-test returned without an exit status")
        status, self._exit = self._exit, None
        return status

    def close(self) -> None:
        """Let go of the emulator."""
        del self._engine  # breaks the cycle engine -> hook -> machine

    def _on_bad_access(
        self, engine: Uc, access: int, address: int, size: int, value: int, user: object
    ) -> bool:
        self._fault = f"{_ACCESS.get(access, 'bad access')} at {address:#010x} ({size} bytes)"
        return False

    def _on_interrupt(self, engine: Uc, number: int, user: object) -> None:
        if not self._semihosting(engine):
            self._fault = f"exception {number}"
        engine.emu_stop()

    def _semihosting(self, engine: Uc) -> bool:
        """Is this the harness leaving? Then note its status (the second word of the block in memory)."""
        operation, block = (int(engine.reg_read(register)) for register in self._registers.args[:2])
        if operation != _SYS_EXIT_EXTENDED or not self._in_harness(engine):
            return False
        self._exit = signed(int.from_bytes(self.read(block + 4, 4), "little"))
        return True

    def _in_harness(self, engine: Uc) -> bool:
        pc = int(engine.reg_read(self._registers.pc))
        return self.image.describe(pc & ~1).startswith(("lilliput_main+", "lilliput_semihosting+"))
