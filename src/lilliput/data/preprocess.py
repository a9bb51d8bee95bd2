"""What happens to a sample before the network: size, mean and deviation, recorded with the model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.errors import UserError
from lilliput.graph import Graph

Array = NDArray[Any]
WHOLE = 1e-6
"""How far from a whole number a mean in grey levels may be, for it was divided by 255 and written down."""


@dataclass(frozen=True)
class Preprocess:
    """A sample of `height` x `width` x `channels`; the network sees (value / unit - mean) / std.

    `unit` is 255 for uint8 pixels and 1 for numbers. `mean` and `std` hold one value for all channels, or
    one each.
    """

    height: int
    width: int
    channels: int
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    unit: float = 255.0

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                raise UserError(
                    f"preprocess: {name} has {len(values)} values for {self.channels} channels; "
                    "expected 1 or one each"
                )
            if not np.isfinite(values).all():
                raise UserError(f"preprocess: {name} is {values}; expected finite numbers")
        if min(self.std) <= 0 or self.unit <= 0:
            raise UserError(f"preprocess: std {self.std} and unit {self.unit}; expected both above 0")

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    def scale_offset(self) -> tuple[Array, Array]:
        """float32 `scale`, `offset` (1 or one per channel) with apply(x) == x * scale + offset."""
        mean, std = np.asarray(self.mean, np.float64), np.asarray(self.std, np.float64)
        return (1 / (self.unit * std)).astype(np.float32), (-mean / std).astype(np.float32)

    def apply(self, x: Array) -> Array:
        """Samples (N, H, W, C) as the network sees them, float32."""
        if x.shape[1:] != self.shape:
            raise UserError(f"preprocess: samples of shape {x.shape[1:]}; expected {self.shape}")
        scale, offset = self.scale_offset()
        return x.astype(np.float32) * scale + offset

    def input_quant(self) -> tuple[float, int] | None:
        """(scale, zero point) of an int8 input q = pixel - 128 that is the preprocessed value exactly.

        None where no such pair exists: values that are not bytes, channels that differ, or a mean that is
        not a whole number of grey levels (`fit_preprocess` chooses one that is).
        """
        if self.unit != 255.0 or len(set(self.mean)) != 1 or len(set(self.std)) != 1:
            return None
        level = 255 * self.mean[0]
        if abs(level - round(level)) > WHOLE or not 0 <= round(level) <= 255:
            return None
        return 1 / (255 * self.std[0]), round(level) - 128

    def on_pixels(self) -> tuple[Preprocess, Array, Array]:
        """What the input's quantization does of this, and (scale, offset) per channel that the network has to do.

        With (base, scale, offset): apply(x) == base.apply(x) * scale + offset, in float64. For bytes, `base`
        takes off the whole grey level nearest to all means: the integers are pixel - 128, and what remains
        is small, so that rounding it into int8 weights shifts no sum. Nothing remains where `input_quant`
        does it all, and of numbers: their channels differ in unit, and are scaled before they are quantized.
        """
        if self.unit != 255.0 or self.input_quant() is not None:
            return self, np.ones(self.channels), np.zeros(self.channels)
        mean, std = (np.broadcast_to(np.asarray(v, np.float64), self.channels) for v in (self.mean, self.std))
        level = round(min(max(255 * float(mean.mean()), 0.0), 255.0))
        base = Preprocess(self.height, self.width, self.channels, (level / 255,))
        rest = level - 255 * mean
        # The tolerance of `input_quant`: a mean that was written as k / 255 is that grey level.
        return base, 1 / std, np.where(np.abs(rest) <= WHOLE, 0.0, rest / (255 * std))

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> Preprocess:
        try:
            size = (int(record["height"]), int(record["width"]), int(record["channels"]))
            mean, std = (tuple(float(v) for v in record[key]) for key in ("mean", "std"))
            return cls(*size, mean, std, float(record["unit"]))
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"preprocess: the record {record!r} is not one of ours ({error})") from error


def preprocessed(graph: Graph, x: Array) -> Array:
    """uint8 pixels the way that was recorded with the model; what is no pixel, or has no record, as it is."""
    if (
        x.dtype != np.uint8
        or "preprocess" not in graph.meta
        or graph.tensors[graph.inputs[0]].dtype == "uint8"
    ):
        return x
    record = Preprocess.from_json(graph.meta["preprocess"])
    if [d for d in x.shape[1:] if d != 1] == [d for d in record.shape if d != 1]:
        x = x.reshape(len(x), *record.shape)
    return record.apply(x)


def fit_preprocess(
    x: Array, mean: tuple[float, ...] | None = None, std: tuple[float, ...] | None = None
) -> Preprocess:
    """The preprocessing of data `x` (N, H, W, C); mean and std that are not given are measured on it.

    Pixels get one mean, rounded to a whole grey level, and one deviation for all channels, so that they
    become the input's quantization without a rounding error. Numbers get one pair per channel: features
    differ in unit.
    """
    height, width, channels = x.shape[1:]
    if x.dtype == np.uint8:
        # A histogram: exact, and no float copy of the whole data set.
        counts = np.bincount(x.reshape(-1), minlength=256).astype(np.float64)
        level = np.arange(256)
        middle = float((counts * level).sum() / counts.sum())
        spread = float(np.sqrt((counts * (level - middle) ** 2).sum() / counts.sum()))
        mean = mean or (round(middle) / 255,)
        return Preprocess(height, width, channels, mean, std or (max(spread, 1.0) / 255,), 255.0)
    flat = x.reshape(-1, channels).astype(np.float64)
    measured = flat.std(axis=0)
    # A feature that never changes keeps its unit: dividing by its deviation of zero would be no information.
    measured = np.where(measured > 1e-12, measured, 1.0)
    mean = mean or tuple(float(v) for v in flat.mean(axis=0))
    return Preprocess(height, width, channels, mean, std or tuple(float(v) for v in measured), 1.0)
