"""A choice between two operands, element by element."""

from lilliput.ops.choice.where import Where as Where
