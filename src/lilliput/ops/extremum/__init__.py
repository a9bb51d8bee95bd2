"""The larger and the smaller of two operands."""

from lilliput.ops.extremum.extremum import Maximum as Maximum
from lilliput.ops.extremum.extremum import Minimum as Minimum
