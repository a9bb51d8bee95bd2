"""Kernels of convolutions for Armv6-M cores (Cortex-M0, M0+)."""

from __future__ import annotations

from lilliput.op import Kernel

CONV_S8: tuple[Kernel, ...] = ()
DEPTHWISE_S8: tuple[Kernel, ...] = ()
