"""Every kernel of convolutions and linear layers, from the fastest of a core to the simplest."""

from __future__ import annotations

from lilliput.ops.conv import kernels_arm, kernels_dsp, kernels_mve, kernels_rv32, kernels_thumb1
from lilliput.ops.conv.kernels import CONV_F32, CONV_S8_ALL
from lilliput.ops.conv.kernels_int4 import CONV_S4
from lilliput.ops.conv.kernels_int16 import CONV_S16

OF_CORES = (kernels_mve, kernels_dsp, kernels_thumb1, kernels_rv32, kernels_arm)
CONVOLUTIONS = (*(k for core in OF_CORES for k in core.CONV_S8), *CONV_S8_ALL, *CONV_S4, *CONV_S16, CONV_F32)
DEPTHWISE_S8 = tuple(k for core in OF_CORES for k in core.DEPTHWISE_S8)
