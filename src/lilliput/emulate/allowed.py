"""Checks that a firmware has only instructions its core has; emulators accept more than the silicon."""

import re

from lilliput.emulate.disassembly import instructions
from lilliput.errors import CheckError
from lilliput.image import Image
from lilliput.target import Target


def check_instructions(image: Image, target: Target) -> int:
    """The number of instructions checked; raises `CheckError` at the first that `target` lacks.

    Instructions that the decoder does not know are refused, except on a core with MVE: it knows none.
    """
    forbidden = re.compile(target.forbidden) if target.forbidden else None
    checked = 0
    for function in image.functions:
        for instruction in instructions(image, function):
            name = instruction.mnemonic.removesuffix(".w").removesuffix(".n")
            lacks = forbidden is not None and forbidden.match(name)
            too_wide = target.wide is not None and instruction.size == 4 and name not in target.wide
            unknown = not name and "mve" not in target.isa
            if lacks or too_wide or unknown:
                where = image.describe(instruction.address)
                raise CheckError(
                    f"'{image.elf.name}': {target.name} cannot execute '{instruction}' in {where}; "
                    "it was compiled for another core"
                )
            checked += 1
    return checked
