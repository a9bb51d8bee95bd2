"""Figures of merit in numpy: accuracy, mean absolute error, area under the ROC curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.train.config import TrainConfig

MetricName = Literal["accuracy", "mean absolute error", "ROC AUC"]


@dataclass(frozen=True)
class Metric:
    """What a model is judged by, of its first output (N, K) as real numbers and the targets."""

    name: MetricName

    @property
    def rising(self) -> bool:
        """Whether more is better."""
        return self.name != "mean absolute error"

    def __call__(self, outputs: Array, y: Array) -> float:
        if self.name == "ROC AUC":
            return roc_auc(ranking(outputs), y.reshape(-1) > 0)
        if self.name == "mean absolute error":
            wanted = y if y.dtype.kind == "f" else np.eye(outputs.shape[1], dtype=np.float32)[y]
            return float(np.abs(outputs - wanted).mean())
        if y.ndim > 1:  # one 0 or 1 for each output
            return float(((outputs > 0) == (y > 0.5)).mean())
        return float((decided(outputs) == y).mean())


def metric_of(config: TrainConfig, *, numbers: bool = False) -> Metric:
    """What `[train]` asks for; `numbers` says that the targets are."""
    if config.metric == "roc-auc":
        return Metric("ROC AUC")
    return Metric("mean absolute error" if numbers else "accuracy")


def decided(outputs: Array) -> Array:
    """Class indices: the only column when the model decides itself, else the greatest; of equals the first."""
    return np.asarray(outputs[:, 0].astype(np.int64) if outputs.shape[1] == 1 else outputs.argmax(axis=1))


def ranking(outputs: Array) -> Array:
    """One number per sample: the only column, or how far the second of two classes is ahead."""
    if outputs.shape[1] > 2:
        raise UserError(f"the area under the ROC curve is of two classes; the model has {outputs.shape[1]}")
    return np.asarray(outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0])


def roc_auc(scores: Array, positive: Array) -> float:
    """How often a positive sample scores above another one, equals half: Mann and Whitney's U, 1947."""
    many, few = int(positive.sum()), int((~positive).sum())
    if not many or not few:
        raise UserError(f"ROC AUC: {many} positive and {few} other samples; expected both")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # the mean rank of equals, from 1
    total = float(ranks[place.reshape(-1)][positive].sum())
    return (total - many * (many + 1) / 2) / (many * few)


def softmax(x: Array) -> Array:
    """Shares of each row."""
    powers = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
