"""Every operator family; importing this package fills the registry. A new family is one folder and one line here."""

from lilliput.ops import binary as binary
from lilliput.ops import conv as conv
from lilliput.ops import extremum as extremum
from lilliput.ops import norm as norm
from lilliput.ops import pool as pool
from lilliput.ops import reduce as reduce
from lilliput.ops import requantize as requantize
from lilliput.ops import shape as shape
from lilliput.ops import softmax as softmax
from lilliput.ops import unary as unary
