"""Functions of one element: tables of their exact references in int8, small kernels in float32."""

from lilliput.ops.unary.clamp import Clamp as Clamp
from lilliput.ops.unary.piecewise import HardSigmoid as HardSigmoid
from lilliput.ops.unary.piecewise import HardSwish as HardSwish
from lilliput.ops.unary.piecewise import LeakyRelu as LeakyRelu
from lilliput.ops.unary.smooth import Sigmoid as Sigmoid
from lilliput.ops.unary.smooth import Tanh as Tanh
