"""Every kernel of convolution and linear layers, of each type from the fastest to the simplest."""

from __future__ import annotations

from lilliput.ops.conv.kernels import CONV_F32, CONV_S8_ALL
from lilliput.ops.conv.kernels_int4 import CONV_S4
from lilliput.ops.conv.kernels_int16 import CONV_S16

CONVOLUTIONS = (*CONV_S8_ALL, *CONV_S4, *CONV_S16, CONV_F32)
