"""Comparisons, and functions of truth values and of bits."""

from lilliput.ops.logic.bits import And as And
from lilliput.ops.logic.bits import Or as Or
from lilliput.ops.logic.bits import ShiftLeft as ShiftLeft
from lilliput.ops.logic.bits import ShiftRight as ShiftRight
from lilliput.ops.logic.bits import Xor as Xor
from lilliput.ops.logic.compare import Equal as Equal
from lilliput.ops.logic.compare import Less as Less
from lilliput.ops.logic.compare import LessEqual as LessEqual
from lilliput.ops.logic.compare import NotEqual as NotEqual
