"""What one machine instruction does to the stack pointer and to the flow of control, per instruction set.

The static stack bound walks over functions with these steps. Registers are followed only as far as prologues
need it: as a constant, or as "the stack pointer at entry, minus so many bytes".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from lilliput.emulate.disassembly import Instruction

_CONDITIONS = "eq|ne|hs|lo|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le"
_ARM_NAME = re.compile(
    rf"^(push|pop|ldm(?:db|ib|da|ia)?|stm(?:db|ib|da|ia)?|blx?|bx|b|mov[swt]*|mvns?|ldrd?|strd?|adds?w?|subs?w?)"
    rf"({_CONDITIONS})?$"
)
_RISCV_BRANCH = re.compile(r"^(c\.)?b(eq|ne|lt|ge|le|gt)(z|u)?$")


@dataclass(frozen=True)
class State:
    """Before an instruction: bytes of stack in use, and the registers that are known."""

    depth: int
    constants: tuple[tuple[str, int], ...] = ()
    frames: tuple[tuple[str, int], ...] = ()  # register = stack pointer at entry - value

    def constant(self, register: str) -> int | None:
        """The known value of a register."""
        return dict(self.constants).get(register)

    def frame(self, register: str) -> int | None:
        """How far below the stack pointer at entry a register points."""
        return self.depth if register == "sp" else dict(self.frames).get(register)

    def with_register(self, register: str, constant: int | None = None, frame: int | None = None) -> "State":
        """`register` as a constant, a frame pointer, or (neither given) unknown."""
        if register == "sp":
            if frame is None:
                raise UnfollowedError
            return replace(self, depth=frame)
        constants = {key: value for key, value in self.constants if key != register}
        frames = {key: value for key, value in self.frames if key != register}
        if constant is not None:
            constants[register] = constant & 0xFFFFFFFF
        if frame is not None:
            frames[register] = frame
        return replace(self, constants=tuple(sorted(constants.items())), frames=tuple(sorted(frames.items())))


class UnfollowedError(Exception):
    """The stack pointer got a value this analysis cannot follow."""


@dataclass(frozen=True)
class Step:
    """After an instruction: the state, and where control may go."""

    state: State
    falls: bool = True  # to the next instruction
    jump: int | None = None
    call: int | None = None
    indirect: bool = False  # a call or jump through a register


ReadWord = Callable[[int], int]


def step(arch: str, instruction: Instruction, state: State, read_word: ReadWord) -> Step:
    """The effect of `instruction`; `read_word` reads the code section (literal pools)."""
    if arch == "riscv":
        return _riscv(instruction, state)
    taken = _arm(arch, instruction, state, read_word)
    if taken.state.depth < state.depth and _conditional(instruction):
        # A32 frees a frame and returns under one condition (addeq sp; popeq pc). Where the code goes on, nothing was
        # freed: keeping the depth is exact there, and never too little anywhere.
        return replace(taken, state=replace(taken.state, depth=state.depth))
    return taken


def _conditional(instruction: Instruction) -> bool:
    match = _ARM_NAME.match(instruction.mnemonic.removesuffix(".w").removesuffix(".n"))
    return match is not None and match.group(2) is not None


def _number(text: str) -> int | None:
    found = re.fullmatch(r"#?(-?(?:0x[0-9a-f]+|\d+))", text.strip())
    return int(found.group(1), 0) if found else None


def _list_bytes(operands: str) -> int:
    registers = re.findall(r"[a-z]+\d*", operands[operands.index("{") :])
    return sum(8 if name.startswith("d") else 4 for name in registers)


def _arm(arch: str, instruction: Instruction, state: State, read_word: ReadWord) -> Step:
    plain = instruction.mnemonic.removesuffix(".w").removesuffix(".n")
    match = _ARM_NAME.match(plain)
    name, conditional = (match.group(1), match.group(2) is not None) if match else (plain, False)
    operands = [part.strip() for part in re.split(r",(?![^\[{]*[\]}])", instruction.operands)]
    if name in ("b", "bl", "blx", "bx", "cbz", "cbnz", "tbb", "tbh"):
        return _arm_branch(name, conditional, operands, state)
    if name == "pop" or (name.startswith("ldm") and operands[0] == "sp!"):
        if "pc" in instruction.operands:
            return Step(state, falls=conditional)
        return Step(
            replace(
                _killed(state, instruction.operands), depth=state.depth - _list_bytes(instruction.operands)
            )
        )
    if name == "vpop" or (name.startswith("vldm") and operands[0] == "sp!"):
        return Step(replace(state, depth=state.depth - _list_bytes(instruction.operands)))
    if name in ("push", "vpush") or (name.startswith(("stm", "vstm")) and operands[0] == "sp!"):
        return Step(replace(state, depth=state.depth + _list_bytes(instruction.operands)))
    if operands[0] == "pc":
        back = (name == "ldr" and operands[1] == "[sp]") or (name == "mov" and operands[1] == "lr")
        return Step(state, falls=conditional, indirect=not back)
    moved = _sp_writeback(operands)
    if moved is not None:
        return Step(replace(_killed(state, operands[0]), depth=state.depth - moved))
    if name.startswith(("ldm", "stm", "vldm", "vstm")):
        return Step(_multiple(state, name, operands))
    return Step(_arm_data(arch, name, operands, instruction, state, read_word))


def _multiple(state: State, name: str, operands: list[str]) -> State:
    """LDM and STM that leave sp alone: what is loaded is unknown, and so is a base that is written back."""
    changed = (
        re.findall(r"\b(?:r\d+|ip|lr|fp|sl|sb|sp)\b", ", ".join(operands[1:])) if name[:3] == "ldm" else []
    )
    if operands[0].endswith("!"):
        changed.append(operands[0].removesuffix("!"))
    return _after_call(state, tuple(changed))


def _arm_branch(name: str, conditional: bool, operands: list[str], state: State) -> Step:
    target = _number(operands[-1])
    if name in ("bl", "blx"):
        after = _after_call(state, ("r0", "r1", "r2", "r3", "ip", "r12", "lr"))
        return Step(after, call=target, indirect=target is None)
    if name in ("tbb", "tbh"):
        return Step(state, falls=False, indirect=True)
    if name == "bx":
        return Step(
            state, falls=conditional, indirect=operands[0] != "lr" and not _was_popped(state, operands[0])
        )
    return Step(state, falls=conditional or name != "b", jump=target)


def _was_popped(state: State, register: str) -> bool:
    """Thumb-1 code returns by popping the return address into a low register."""
    return state.constant(register) == _POPPED


_POPPED = 0xFFFFFFFE  # a marker: no code is there


def _killed(state: State, operands: str) -> State:
    for register in re.findall(r"\b(?:r\d+|ip|lr|fp|sl|sb)\b", operands):
        state = state.with_register(register, constant=_POPPED)
    return state


def _after_call(state: State, scratch: tuple[str, ...]) -> State:
    for register in scratch:
        state = state.with_register(register)
    return state


def _sp_writeback(operands: list[str]) -> int | None:
    """The bytes added to sp by `[sp, #n]!` or `[sp], #n`; None for any other operands."""
    text = ", ".join(operands)
    before = re.search(r"\[sp, #(-?(?:0x)?[0-9a-f]+)\]!", text)
    after = re.search(r"\[sp\], #(-?(?:0x)?[0-9a-f]+)", text)
    found = before or after
    if found is None and re.search(r"\[sp[^\]]*\]!|\[sp\],", text):
        raise UnfollowedError
    return int(found.group(1), 0) if found else None


_NO_RESULT = (
    "str",
    "cmp",
    "cmn",
    "tst",
    "teq",
    "nop",
    "it",
    "vst",
    "vcmp",
    "vmsr",
    "dsb",
    "dmb",
    "isb",
    "bkpt",
    "pld",
)


def _arm_data(
    arch: str, name: str, operands: list[str], instruction: Instruction, state: State, read_word: ReadWord
) -> State:
    """Moves and arithmetic that prologues are made of; every other result is unknown."""
    if name.startswith(_NO_RESULT) or not operands[0]:
        return state
    result, last = operands[0], operands[-1]
    source = operands[1] if len(operands) == 3 and name != "bfc" else result
    value = _number(last)
    if value is None:
        value = state.constant(last)
    frame = state.frame(source)
    kind = name.removesuffix("s") if name not in ("movs",) else "mov"
    if kind in ("add", "addw", "sub", "subw") and value is not None and value != _POPPED:
        signed = value - (1 << 32) if value >> 31 else value
        signed = -signed if kind.startswith("sub") else signed
        if frame is not None:
            return state.with_register(result, frame=frame - signed)
        known = state.constant(source)
        return state.with_register(result, constant=None if known is None else known + signed)
    if kind in ("mov", "movw"):
        return state.with_register(result, constant=value, frame=state.frame(last))
    if kind == "movt" and value is not None:
        low = state.constant(result)
        return state.with_register(result, constant=None if low is None else low & 0xFFFF | value << 16)
    if kind == "mvn" and value is not None:
        return state.with_register(result, constant=~value)
    if kind == "ldr" and (pool := re.fullmatch(r"\[pc, #((?:0x)?[0-9a-f]+)\]", last)):
        ahead = 8 if arch == "arm" else 4
        return state.with_register(
            result, constant=read_word((instruction.address + ahead & ~3) + int(pool[1], 0))
        )
    if kind == "lsl" and value is not None and (known := state.constant(source)) is not None:
        return state.with_register(result, constant=known << value)
    if frame is not None and value is not None and (slack := _alignment(kind, operands, value)) is not None:
        return state.with_register(result, frame=frame + slack)
    if kind in ("ldrd", "umull", "smull", "umlal", "smlal"):
        state = state.with_register(operands[1])
    return state.with_register(result)


def _alignment(kind: str, operands: list[str], value: int) -> int | None:
    """The most bytes that rounding a frame pointer down takes: BFC, BIC, or a shift right and back left."""
    if kind == "bfc" and operands[1] == "#0":
        return (1 << value) - 1
    if kind == "bic":
        return value
    if kind == "lsr":
        return (1 << value) - 1
    return 0 if kind == "lsl" else None


def _riscv(instruction: Instruction, state: State) -> Step:
    name = instruction.mnemonic
    operands = [part.strip() for part in instruction.operands.split(",")]
    offset = _number(operands[-1]) if operands else None
    target = None if offset is None else instruction.address + offset
    if _RISCV_BRANCH.match(name):
        return Step(state, jump=target)
    if name in ("j", "c.j") or (name == "jal" and operands[0] == "zero"):
        return Step(state, falls=False, jump=target)
    scratch = ("ra", *(f"t{i}" for i in range(7)), *(f"a{i}" for i in range(8)))
    if name in ("jal", "c.jal"):
        return Step(_after_call(state, scratch), call=target)
    if name in ("ret", "mret") or (name in ("c.jr", "jr") and operands == ["ra"]):
        return Step(state, falls=False)
    if name in ("c.jr", "jr", "c.jalr", "jalr"):
        return _riscv_register_jump(name, operands, state, scratch)
    return Step(_riscv_data(name, operands, instruction, state))


def _riscv_register_jump(name: str, operands: list[str], state: State, scratch: tuple[str, ...]) -> Step:
    """`jalr` through a register that AUIPC set is a direct call or tail jump; any other is indirect."""
    link, register = ("zero", operands[0]) if name in ("c.jr", "jr") else ("ra", operands[0])
    offset = 0
    if name == "jalr" and len(operands) == 3:
        link, register, offset = operands[0], operands[1], _number(operands[2]) or 0
    if link == "zero" and register == "ra" and offset == 0:
        return Step(state, falls=False)
    base = state.constant(register)
    target = None if base is None else base + offset & 0xFFFFFFFF
    if link == "zero":
        return Step(state, falls=False, jump=target, indirect=target is None)
    return Step(_after_call(state, scratch), call=target, indirect=target is None)


def _riscv_data(name: str, operands: list[str], instruction: Instruction, state: State) -> State:
    plain = name.removeprefix("c.")
    if plain in ("sw", "sh", "sb", "swsp", "nop", "ebreak", "ecall", "fence") or not operands[0]:
        return state
    result, value = operands[0], _number(operands[-1])
    source = operands[1] if len(operands) == 3 else result
    if value is None and plain in ("add", "sub"):
        value = state.constant(operands[-1])
    frame = state.frame(source)
    known = 0 if source == "zero" else state.constant(source)
    if plain in ("addi", "addi16sp", "addi4spn", "add", "sub") and value is not None:
        signed = value - (1 << 32) if value >> 31 == 1 else value
        signed = -signed if plain == "sub" else signed
        if frame is not None:
            return state.with_register(result, frame=frame - signed)
        return state.with_register(result, constant=None if known is None else known + signed)
    if plain == "li":
        return state.with_register(result, constant=value)
    if plain in ("lui", "auipc") and value is not None:
        base = instruction.address if plain == "auipc" else 0
        return state.with_register(result, constant=base + (value << 12))
    if plain == "mv":
        return state.with_register(result, state.constant(operands[-1]), state.frame(operands[-1]))
    if plain == "andi" and frame is not None and value is not None and value < 0:
        return state.with_register(result, frame=frame - value - 1)
    return state.with_register(result)
