"""Elements chosen or replaced by indices that are data."""

from lilliput.ops.index.elements import GatherElements as GatherElements
from lilliput.ops.index.elements import ScatterElements as ScatterElements
from lilliput.ops.index.gather import Gather as Gather
from lilliput.ops.index.tuples import GatherND as GatherND
from lilliput.ops.index.tuples import ScatterND as ScatterND
from lilliput.ops.index.write import WriteSlice as WriteSlice
