"""Kernels of convolutions for cores with MVE (Helium)."""

from __future__ import annotations

from lilliput.op import Kernel

CONV_S8: tuple[Kernel, ...] = ()
DEPTHWISE_S8: tuple[Kernel, ...] = ()
