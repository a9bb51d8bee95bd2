"""Kernels of convolutions for Armv7E-M and Armv8-M cores with the DSP extension."""

from __future__ import annotations

from lilliput.op import Kernel

CONV_S8: tuple[Kernel, ...] = ()
DEPTHWISE_S8: tuple[Kernel, ...] = ()
