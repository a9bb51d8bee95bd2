"""A static bound of the stack, read from the machine code: frames by data flow, calls by the branches."""

import functools
from dataclasses import dataclass, field, replace

from lilliput.emulate.disassembly import Instruction, instructions
from lilliput.emulate.flow import State, Step, UnfollowedError, step
from lilliput.errors import CheckError
from lilliput.image import Image, Symbol

_MOST_DEPTHS = 64  # at one instruction; more means that the stack grows in a loop


@dataclass
class _Frame:
    """What one function needs by itself, and whom it calls at which depth."""

    deepest: int = 0
    calls: dict[str, int] = field(default_factory=dict)  # callee -> the greatest depth at a call of it

    def add_call(self, callee: str, depth: int) -> None:
        self.calls[callee] = max(depth, self.calls.get(callee, 0))


def stack_bound(image: Image, root: str) -> int:
    """The most bytes of stack that a call of `root` can use, its callees included.

    Raises `CheckError` naming the function for recursion, an indirect call, or an unclear stack pointer.
    """
    return _bound(image, image.symbol(root).name, (), {})


def _bound(image: Image, name: str, path: tuple[str, ...], done: dict[str, int]) -> int:
    if name in path:
        chain = " -> ".join((*path[path.index(name) :], name))
        raise CheckError(f"'{image.elf.name}': recursion has no stack bound: {chain}")
    if name not in done:
        frame = _frame(image, image.symbols[name])
        below = [depth + _bound(image, callee, (*path, name), done) for callee, depth in frame.calls.items()]
        done[name] = max([frame.deepest, *below])
    return done[name]


@functools.cache
def _index(image: Image) -> dict[int, Instruction]:
    return {one.address: one for function in image.functions for one in instructions(image, function)}


@functools.cache
def _entries(image: Image) -> dict[int, str]:
    return {function.address: function.name for function in image.functions}


def _frame(image: Image, function: Symbol) -> _Frame:
    """Walk over all paths of `function` (and into code it shares with another)."""
    index, frame = _index(image), _Frame()
    seen: dict[int, set[int]] = {}
    waiting: list[tuple[int, State]] = [(function.address, State(0))]
    while waiting:
        address, state = waiting.pop()
        depths = seen.setdefault(address, set())
        if state.depth in depths:
            continue
        depths.add(state.depth)
        if len(depths) > _MOST_DEPTHS:
            raise CheckError(f"'{image.elf.name}': the stack grows in a loop in {image.describe(address)}")
        taken = _step(image, index.get(address), address, state)
        if taken.indirect:
            return _whole(image, function)
        frame.deepest = max(frame.deepest, taken.state.depth)
        waiting += _successors(image, function, index[address], taken, frame)
    return frame


def _whole(image: Image, function: Symbol) -> _Frame:
    """A bound for a function that jumps through a table, as compilers' soft-float helpers do: all its frames together.

    Paths are not followed: each instruction that takes stack counts once, and calls are made at that depth.
    """
    frame, entries, callees = _Frame(), _entries(image), []
    for one in instructions(image, function):
        taken = _step(image, one, one.address, State(0))
        frame.deepest += max(taken.state.depth, 0)
        callees += [entries[to] for to in (taken.call, taken.jump) if to in entries]
    for callee in callees:
        if callee != function.name:
            frame.add_call(callee, frame.deepest)
    return frame


def _step(image: Image, instruction: Instruction | None, address: int, state: State) -> Step:
    where = image.describe(address)
    if instruction is None:
        raise CheckError(
            f"'{image.elf.name}': control reaches {address:#x} ({where}), where there is no instruction"
        )
    base, content = image.text
    try:
        taken = step(
            image.target.arch,
            instruction,
            state,
            lambda at: int.from_bytes(content[at - base : at - base + 4], "little"),
        )
    except UnfollowedError as error:
        raise CheckError(
            f"'{image.elf.name}': cannot follow the stack pointer in {where}: {instruction}"
        ) from error
    if taken.indirect and taken.falls:
        raise CheckError(f"'{image.elf.name}': an indirect call has no stack bound: {instruction} in {where}")
    return taken


def _successors(
    image: Image, function: Symbol, instruction: Instruction, taken: Step, frame: _Frame
) -> list[tuple[int, State]]:
    """Where control goes next inside the function; calls and tail calls are noted in `frame`."""
    entries, state = _entries(image), taken.state
    found: list[tuple[int, State]] = []
    if taken.call is not None:
        inside = function.address < taken.call < function.address + function.size
        if (
            inside and taken.call not in entries
        ):  # ARMv6-M has no longer jump than BL; the link register is lost
            return [(taken.call, replace(state, constants=()))]
        if taken.call not in entries:
            caller = image.describe(instruction.address)
            raise CheckError(f"'{image.elf.name}': {caller} calls {taken.call:#x}, which is no function")
        frame.add_call(entries[taken.call], state.depth)
    if taken.falls:
        found.append((instruction.address + instruction.size, state))
    if taken.jump is not None:
        callee = entries.get(taken.jump)
        if callee is not None and callee != function.name:
            frame.add_call(callee, state.depth)
        else:
            found.append((taken.jump, replace(state, constants=())))
    return found
