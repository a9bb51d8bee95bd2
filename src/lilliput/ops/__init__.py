"""Every operator family; importing this package fills the registry. A new family is one folder and one line here."""

from lilliput.ops import attention as attention
from lilliput.ops import binary as binary
from lilliput.ops import choice as choice
from lilliput.ops import conv as conv
from lilliput.ops import cumulative as cumulative
from lilliput.ops import extremum as extremum
from lilliput.ops import features as features
from lilliput.ops import index as index
from lilliput.ops import kernel_machine as kernel_machine
from lilliput.ops import logic as logic
from lilliput.ops import matmul as matmul
from lilliput.ops import neighbours as neighbours
from lilliput.ops import norm as norm
from lilliput.ops import pool as pool
from lilliput.ops import recurrent as recurrent
from lilliput.ops import reduce as reduce
from lilliput.ops import requantize as requantize
from lilliput.ops import resize as resize
from lilliput.ops import select as select
from lilliput.ops import shape as shape
from lilliput.ops import softmax as softmax
from lilliput.ops import spectrum as spectrum
from lilliput.ops import svdf as svdf
from lilliput.ops import tree as tree
from lilliput.ops import unary as unary
