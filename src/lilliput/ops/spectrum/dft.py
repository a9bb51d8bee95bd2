"""The discrete Fourier transform of real or complex signals, float32; complex numbers are a last axis of two."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register

HERE = Path(__file__).parent


def _op(site: Site) -> Dft:
    assert isinstance(site.op, Dft)
    return site.op


def _is_f32(site: Site) -> bool:
    return site.x.dtype == site.y.dtype == "float32" and not site.x.constant


def _fast(site: Site) -> bool:
    length = _op(site).length
    last = _op(site).axis == len(site.x.shape) - 2
    return _is_f32(site) and last and length > 1 and length & (length - 1) == 0


def _params(site: Site) -> Params:
    op = _op(site)
    angles = 2 * np.pi * np.arange(op.length) / op.length
    real_inverse = op.inverse and op.onesided
    return {
        "cosine": np.cos(angles).astype(np.float32),
        "sine": (np.sin(angles) if op.inverse else -np.sin(angles)).astype(np.float32),
        "parts": site.x.shape[-1],
        "bins": site.y.shape[op.axis],
        "out_parts": site.y.shape[-1],
        "length": op.length,
        "mirrored": (op.length - 1) // 2 if real_inverse else 0,
        "scale": 1.0 / op.length if op.inverse else 1.0,
    }


def _direct(site: Site) -> Params:
    shape, axis = site.x.shape, _op(site).axis
    sizes = {
        "outer": int(np.prod(shape[:axis], dtype=np.int64)),
        "n": min(shape[axis], _op(site).taken),
        "there": shape[axis],
        "inner": int(np.prod(shape[axis + 1 : -1], dtype=np.int64)),
    }
    return {**_params(site), **sizes}


def _radix_2(site: Site) -> Params:
    shape, op = site.x.shape, _op(site)
    rows = int(np.prod(shape[: op.axis], dtype=np.int64))
    return {**_params(site), "rows": rows, "n": shape[op.axis], "bits": op.length.bit_length() - 1}


def _complex_row(site: Site) -> int:
    return 8 * _op(site).length


@register
@dataclass(frozen=True)
class Dft(Op):
    """Along `axis` over `length` samples, cut or followed by zeros; input [..., 1 or 2], result [..., 2].

    `onesided`: only the first half of the spectrum of a real signal; with `inverse` the real signal [..., 1] of one.
    """

    axis: int
    length: int
    inverse: bool = False
    onesided: bool = False

    name: ClassVar[str] = "dft"
    kernels = (
        Kernel(HERE / "fft_f32.c", _fast, _radix_2, scratch=_complex_row),
        Kernel(HERE / "dft_f32.c", _is_f32, _direct),
    )

    @property
    def taken(self) -> int:
        """How many values along the axis count."""
        return self.length // 2 + 1 if self.inverse and self.onesided else self.length

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        shape = list(ins[0].shape)
        shape[self.axis] = self.length // 2 + 1 if self.onesided and not self.inverse else self.length
        shape[-1] = 1 if self.onesided and self.inverse else 2
        return (tuple(shape),)

    def check(self, site: Site) -> str | None:
        rank = len(site.x.shape)
        if not 0 <= self.axis < rank - 1 or self.length < 1:
            return (
                f"axis {self.axis} of {rank} dimensions, length {self.length}; expected one before the last"
            )
        if site.x.shape[-1] not in (1, 2):
            return f"the last axis has {site.x.shape[-1]} elements, expected 1 (real) or 2 (complex)"
        if self.onesided and not self.inverse and site.x.shape[-1] != 1:
            return "a onesided spectrum of complex numbers; only that of real ones is symmetric"
        return None

    def batchable(self, site: Site) -> bool:
        return self.axis != 0

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        x = xs[0].astype(np.float64)
        signal = x[..., 0] + (1j * x[..., 1] if x.shape[-1] == 2 else 0)
        if self.inverse and self.onesided:
            y = np.fft.irfft(signal, self.length, self.axis)[..., None]
        else:
            z = (np.fft.ifft if self.inverse else np.fft.fft)(signal, self.length, self.axis)
            z = np.take(z, np.arange(site.y.shape[self.axis]), self.axis)
            y = np.stack([z.real, z.imag], -1)
        return (np.asarray(y, np.float32),)

    def macs(self, site: Site) -> int:
        return site.x.size * site.y.shape[self.axis] * 2

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        x = xs[0]
        signal = torch.complex(x[..., 0], x[..., 1] if x.shape[-1] == 2 else 0 * x[..., 0])
        if self.inverse and self.onesided:
            return torch.fft.irfft(signal, self.length, self.axis)[..., None]
        z = (torch.fft.ifft if self.inverse else torch.fft.fft)(signal, self.length, self.axis)
        return torch.view_as_real(z.narrow(self.axis, 0, site.y.shape[self.axis]))

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) < 3 or shape[-1] not in (1, 2):
            return None
        length = int(rng.choice([shape[-2], 4, 8]))
        return Example(cls(len(shape) - 2, length, bool(rng.integers(2))), (shape,))

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield Example(cls(1, 2), ((1, 2, 2),), why="two samples")
        yield Example(cls(1, 16), ((1, 16, 1),), why="a power of two, real")
        yield Example(cls(1, 64, onesided=True), ((1, 64, 1),), why="half a spectrum")
        yield Example(cls(2, 8), ((1, 3, 8, 2),), why="complex rows")
        yield Example(cls(1, 9), ((1, 9, 4, 2),), why="not a power of two, along the height")
        yield Example(cls(1, 32), ((1, 20, 1),), why="followed by zeros")
        yield Example(cls(1, 4), ((1, 7, 2),), why="cut")
        yield Example(cls(2, 4), ((1, 3, 5, 2),), why="rows that are cut")
        yield Example(cls(1, 8, inverse=True), ((1, 8, 2),), why="back")
        yield Example(cls(1, 16, True, True), ((1, 9, 2),), why="back to a real signal")
        yield Example(cls(1, 7, True, True), ((1, 4, 2),), why="back to a real signal of odd length")
        yield Example(cls(1, 16, True, True), ((1, 5, 2),), why="back from a part of the spectrum")
        yield Example(cls(1, 12, True, True), ((1, 12, 3, 2),), why="back, more than half given")
        yield Example(cls(1, 1), ((1, 3, 1),), why="one sample")
