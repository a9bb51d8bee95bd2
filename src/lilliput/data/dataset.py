"""Data sets as values: samples, targets and labels, checked once on entry, and the stratified split."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.errors import UserError

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples `x` (N, H, W, C), uint8 pixels or float32, and their targets.

    With labels, `y` holds class indices (N,) int64. Without (`labels == ()`), `y` is float32 (N, K): values
    to regress, or one 0/1 per label for binary cross-entropy.
    """

    x: Array
    y: Array
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.x)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        height, width, channels = self.x.shape[1:]
        return height, width, channels

    @property
    def outputs(self) -> int:
        """How many outputs a model of this data has."""
        return len(self.labels) if self.labels else int(self.y.shape[1])

    def take(self, indices: Array) -> Dataset:
        return replace(self, x=self.x[indices], y=self.y[indices])

    def counts(self) -> Array:
        """Samples per class."""
        return np.bincount(self.y, minlength=len(self.labels))


@dataclass(frozen=True, eq=False)
class Split:
    """Training, validation and test data of the same shape and labels."""

    train: Dataset
    validation: Dataset
    test: Dataset


def make_dataset(x: Array, y: Array, labels: tuple[str, ...] | None, source: str) -> Dataset:
    """Bring arrays to the form of `Dataset`; refuse what cannot be trained on. `source` names them in errors.

    `x` of two dimensions are features (N, F), of three grayscale images (N, H, W), of four (N, H, W, C).
    Integer `y` are classes; `labels=None` names them by their numbers, 0 to the largest.
    """
    if len(x) != len(y):
        raise UserError(f"{source}: {len(x)} samples but {len(y)} targets; expected as many of each")
    if len(x) == 0:
        raise UserError(f"{source}: no samples; expected at least one")
    x = _channels_last(x, source)
    if np.issubdtype(y.dtype, np.integer) and y.ndim == 1:
        if y.min() < 0:
            raise UserError(f"{source}: class {y.min()} is negative; expected classes from 0 up")
        if labels is None:
            if y.max() >= max(len(y), 2):
                raise UserError(
                    f"{source}: class {y.max()} among {len(y)} samples; expected classes 0, 1, 2 …"
                )
            labels = tuple(str(number) for number in range(int(y.max()) + 1))
        if y.max() >= len(labels):
            raise UserError(f"{source}: class {y.max()} but only {len(labels)} labels; expected fewer")
        return Dataset(x, y.astype(np.int64), labels)
    return Dataset(x, _real_targets(y, source), ())


def _channels_last(x: Array, source: str) -> Array:
    if x.dtype != np.uint8:
        if x.dtype.kind not in "fiub":
            raise UserError(
                f"{source}: samples of type {x.dtype}; expected numbers (uint8 pixels or float32)"
            )
        x = x.astype(np.float32)
    if 0 in x.shape[1:] or not 2 <= x.ndim <= 4:
        raise UserError(
            f"{source}: samples of shape {x.shape}; expected (N, features), (N, height, width) "
            "or (N, height, width, channels), none of them 0"
        )
    refuse_not_finite(x, source)
    if x.ndim == 2:
        return np.ascontiguousarray(x[:, None, None, :])
    return np.ascontiguousarray(x[..., None] if x.ndim == 3 else x)


def _real_targets(y: Array, source: str) -> Array:
    if y.dtype.kind not in "fiub" or y.ndim < 1 or (y.ndim > 2 and y.dtype.kind != "f"):
        raise UserError(
            f"{source}: targets of type {y.dtype} and shape {y.shape}; "
            "expected integers (N,) for classes or numbers (N,), (N, K) or as many as samples have"
        )
    y = y.astype(np.float32)
    refuse_not_finite(y, source)
    return y.reshape(len(y), -1)


def refuse_not_finite(x: Array, source: str) -> None:
    """NaN and infinity stop here: nothing behind the boundary of the tool expects them."""
    if x.dtype.kind != "f" or np.isfinite(x).all():
        return
    where = tuple(int(i) for i in np.argwhere(~np.isfinite(x))[0])
    raise UserError(
        f"{source}: the value at {where} is {x[where]}; expected finite numbers: remove or repair that sample"
    )


def refuse_empty_class(data: Dataset, source: str) -> None:
    """Every label must have samples, or the model would learn a class that it never sees."""
    if not data.labels:
        return
    for label, count in zip(data.labels, data.counts(), strict=True):
        if count == 0:
            raise UserError(f"{source}: class {label!r} has no samples; add some or remove the class")


def stratified_split(
    data: Dataset, fraction: float, seed: int, source: str = "data"
) -> tuple[Dataset, Dataset]:
    """The data without, and with only, `fraction` of each class, at least one sample of each on both sides.

    Same seed, same split. Without classes the samples are drawn from all alike. Order is kept.
    """
    if not 0 < fraction < 1:
        raise UserError(f"{source}: a split of {fraction}; expected a fraction between 0 and 1")
    rng = np.random.default_rng(seed)
    groups = (
        [np.flatnonzero(data.y == k) for k in range(len(data.labels))]
        if data.labels
        else [np.arange(len(data))]
    )
    chosen = []
    for index, group in enumerate(groups):
        if len(group) < 2:
            name = f"class {data.labels[index]!r}" if data.labels else "the data"
            raise UserError(f"{source}: {name} has {len(group)} samples; expected at least 2 to split it")
        count = min(max(1, round(fraction * len(group))), len(group) - 1)
        chosen.append(rng.permutation(group)[:count])
    mask = np.zeros(len(data), bool)
    mask[np.concatenate(chosen)] = True
    return data.take(np.flatnonzero(~mask)), data.take(np.flatnonzero(mask))


def check_same_form(train: Dataset, test: Dataset, source: str, part: str = "test") -> None:
    """Training and test data (or another part) must have one shape and the same labels."""
    if train.x.shape[1:] != test.x.shape[1:]:
        raise UserError(
            f"{source}: training samples have shape {train.x.shape[1:]} but {part} samples {test.x.shape[1:]}; "
            "expected the same"
        )
    if train.labels != test.labels or (not train.labels and train.outputs != test.outputs):
        raise UserError(
            f"{source}: training data has {train.outputs} classes or targets {train.labels} "
            f"but {part} data {test.outputs} {test.labels}; expected the same"
        )
    if train.x.dtype != test.x.dtype:
        raise UserError(
            f"{source}: training samples are {train.x.dtype}, {part} samples {test.x.dtype}; expected the same"
        )
