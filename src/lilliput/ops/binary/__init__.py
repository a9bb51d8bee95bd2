"""Operators of two operands, element by element with broadcasting."""

from lilliput.ops.binary.arithmetic import Add as Add
from lilliput.ops.binary.arithmetic import Mul as Mul
from lilliput.ops.binary.arithmetic import Sub as Sub
