"""Operators of two operands, element by element with broadcasting."""

from lilliput.ops.binary.arithmetic import Add as Add
from lilliput.ops.binary.arithmetic import Mul as Mul
from lilliput.ops.binary.arithmetic import Sub as Sub
from lilliput.ops.binary.numbers import Div as Div
from lilliput.ops.binary.numbers import FloorDiv as FloorDiv
from lilliput.ops.binary.numbers import Fmod as Fmod
from lilliput.ops.binary.numbers import Mod as Mod
from lilliput.ops.binary.numbers import Pow as Pow
from lilliput.ops.binary.numbers import Prelu as Prelu
from lilliput.ops.binary.numbers import SquaredDifference as SquaredDifference
