"""An estimate of clock cycles: exact execution counts times a cost table of the core. Not a measurement.

Where the tables come from, and how far off the estimate is: docs/cycles.md.
"""

import functools
import re

import numpy as np

from lilliput.emulate.disassembly import Instruction, instructions
from lilliput.emulate.machine import Counts
from lilliput.image import Image
from lilliput.target import CycleCosts, Target

_LOAD = re.compile(r"^(v?ldr|c\.lw|c\.flw|l[bhw]u?$)")
_STORE = re.compile(r"^(v?str|c\.sw|s[bhw]$)")
_MULTIPLE = re.compile(r"^(push|pop|v?ldm|v?stm|vpush|vpop|ldrd|strd)")
_LONG_MULTIPLY = re.compile(r"^([us]mull|[us]mlal|mulhs?u?)")
_MULTIPLY_ADD = re.compile(r"^ml[as]")
_MULTIPLY = re.compile(r"^(mul|c\.mul|sm[lmu]|umaal)")
_DIVIDE = re.compile(r"^([us]div|divu?$|remu?$)")
_FLOAT_DIVIDE = re.compile(r"^v(div|sqrt)")
_FLOAT_MAC = re.compile(r"^v(ml[as]|fm[as]|nml|fnm)")


def cycles_estimate(counts: Counts, target: Target, wait_states: int = 0) -> tuple[int, int]:
    """The least and most cycles that `counts` may take on `target`.

    `wait_states` of the flash, which the board knows, are added to each taken jump in the upper figure; the lower one
    assumes that a prefetch buffer or cache hides them.
    """
    body = float(counts.executed @ _costs(counts.image, target))
    jumps = int(counts.taken.sum())
    costs = target.cycles
    least = (body + jumps * costs.refill[0]) * costs.scale[0]
    most = (body + jumps * (costs.refill[1] + wait_states)) * costs.scale[1]
    return round(least), round(most)


@functools.cache
def _costs(image: Image, target: Target) -> np.ndarray:
    """Cycles of the instruction that starts at each halfword of the code section; 0 elsewhere."""
    base, content = image.text
    costs = np.zeros(len(content) // 2)
    for function in image.functions:
        after_load = False
        for one in instructions(image, function):
            costs[(one.address - base) // 2] = _cost(one, after_load, target.cycles)
            after_load = _LOAD.match(one.mnemonic) is not None
    return costs


def _cost(one: Instruction, after_load: bool, costs: CycleCosts) -> float:
    name = one.mnemonic
    if not name:
        return costs.vector  # the decoder knows no MVE
    if _MULTIPLE.match(name):
        registers = one.operands.count(",") + 1 if "{" in one.operands else 2
        return costs.multiple_base + registers
    if _LOAD.match(name):
        return costs.load_after_load if after_load else costs.load
    if _STORE.match(name):
        return costs.store
    if _FLOAT_DIVIDE.match(name):
        return costs.float_divide
    if _FLOAT_MAC.match(name):
        return costs.float_mac
    if _DIVIDE.match(name):
        return costs.divide
    if _LONG_MULTIPLY.match(name):
        return costs.multiply_long
    if _MULTIPLY_ADD.match(name):
        return costs.multiply_add
    return costs.multiply if _MULTIPLY.match(name) else 1.0
