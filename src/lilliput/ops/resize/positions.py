"""Where the elements of a resized axis come from, and with which weights: computed once, when a model is imported.

The source of the maths is ONNX's definition of Resize; PyTorch's and TensorFlow Lite's are special cases of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array

LARGEST = 1 << 20
"""Elements that an axis may have after it is resized."""


@dataclass(frozen=True)
class Axis:
    """One axis that changes from `size` to `count` elements; `scale` is out / in. `roi` is a part, as fractions."""

    size: int
    count: int
    scale: float
    mode: str = "half_pixel"
    roi: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if not 0 < self.count <= LARGEST:
            raise UserError(
                f"an axis of {self.size} elements resized to {self.count}, expected 1 to {LARGEST}"
            )

    def positions(self) -> Array:
        """The place of every result among the input's elements, float64; may lie outside."""
        i = np.arange(self.count, dtype=np.float64)
        length = self.scale * self.size  # not always whole
        if self.mode == "align_corners":
            return i * (self.size - 1) / (length - 1) if length != 1 else i * 0
        if self.mode == "asymmetric":
            return i / self.scale
        if self.mode == "half_pixel" or (self.mode == "pytorch_half_pixel" and length != 1):
            return (i + 0.5) / self.scale - 0.5
        if self.mode == "pytorch_half_pixel":
            return i * 0 - 0.5
        if self.mode == "half_pixel_symmetric":
            return self.size / 2 * (1 - self.count / length) + (i + 0.5) / self.scale - 0.5
        if self.mode == "tf_crop_and_resize":
            first, last = (edge * (self.size - 1) for edge in self.roi)
            return first + i * (last - first) / (length - 1) if length != 1 else i * 0 + (first + last) / 2
        raise UserError(f"the coordinate transformation '{self.mode}' is not known")

    def outside(self) -> Array:
        """Which results lie outside a crop: they get a value of their own."""
        at = self.positions()
        return ((at < 0) | (at > self.size - 1)) & (self.mode == "tf_crop_and_resize")

    def nearest(self, rounding: str) -> Array:
        """The index of the nearest element, by one of ONNX's ways to round."""
        at = self.positions()
        rounded = {
            "round_prefer_floor": np.ceil(at - 0.5),
            "round_prefer_ceil": np.floor(at + 0.5),
            "floor": np.floor(at),
            "ceil": np.ceil(at),
        }
        if rounding not in rounded:
            raise UserError(f"the rounding '{rounding}' is not one of {', '.join(rounded)}")
        return np.clip(rounded[rounding], 0, self.size - 1).astype(np.int64)

    def taps(self, kind: str, *, cubic: float = -0.75, antialias: bool = False, inside: bool = False) -> Taps:
        """Indices and weights per result, both [count, taps]. `inside` leaves out what lies outside."""
        at = self.positions()
        shrink = min(self.scale, 1.0) if antialias else 1.0  # a wider filter where the result is smaller
        reach = math.floor(-(1 if kind == "linear" else 2) / shrink) + 1
        offsets = np.arange(reach, 2 - reach)
        floor = np.floor(at)
        distance = np.abs(offsets - (at - floor)[:, None]) * shrink
        weights = np.clip(1 - distance, 0, 1) if kind == "linear" else _cubic(distance, cubic)
        places = floor[:, None] + offsets
        if inside:
            weights = np.where((places < 0) | (places >= self.size), 0, weights)
        weights /= weights.sum(1, keepdims=True)
        weights[self.outside()] = 0
        return Taps(np.clip(places, 0, self.size - 1).astype(np.int32), weights.astype(np.float32))


@dataclass(frozen=True, eq=False)
class Taps:
    """Result i is the sum over t of weights[i, t] * x[indices[i, t]]."""

    indices: Array
    weights: Array


def _cubic(d: Array, a: float) -> Array:
    """Keys' cubic convolution kernel at distance d >= 0."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
