"""Losses and the figure of merit that goes with each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from lilliput.data import Dataset
from lilliput.errors import UserError
from lilliput.train.config import TrainConfig

LossFunction = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def make_loss(config: TrainConfig, data: Dataset) -> LossFunction:
    """The loss of outputs (N, K) and targets; refuses data that do not fit it."""
    weight = class_weights(config, data)
    if config.loss == "cross-entropy":
        if not data.labels:
            raise UserError(
                "train.loss is 'cross-entropy' but the targets are numbers; use mse, huber or bce"
            )

        def cross_entropy(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            return functional.cross_entropy(
                outputs, targets, weight=weight, label_smoothing=config.label_smoothing
            )

        return cross_entropy
    if config.loss == "bce":
        if not data.labels and not bool(((data.y == 0) | (data.y == 1)).all()):
            raise UserError("train.loss is 'bce' but targets are not all 0 or 1; use mse or huber")

        def bce(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
            losses = functional.binary_cross_entropy_with_logits(
                outputs, _one_hot(outputs, targets), reduction="none"
            )
            # Like cross-entropy, a weight is that of the sample's class: it counts for all of its outputs.
            return (losses if weight is None else losses * weight[targets][:, None]).mean()

        return bce
    if weight is not None:
        raise UserError(
            f"train.class_weights does not go with loss {config.loss!r}; use cross-entropy or bce"
        )
    measure = functional.mse_loss if config.loss == "mse" else functional.huber_loss

    def regression(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return measure(outputs, _one_hot(outputs, targets))

    return regression


def class_weights(config: TrainConfig, data: Dataset) -> torch.Tensor | None:
    """One weight per class with mean 1 over the samples, or None when all count alike."""
    if config.class_weights == "none":
        return None
    if not data.labels:
        raise UserError("train.class_weights needs classes but the targets are numbers; remove it")
    if config.class_weights == "balanced":
        return torch.from_numpy((len(data) / (len(data.labels) * data.counts())).astype(np.float32))
    if len(config.class_weights) != len(data.labels):
        raise UserError(
            f"train.class_weights has {len(config.class_weights)} values; expected one for each of the "
            f"{len(data.labels)} classes"
        )
    return torch.tensor(config.class_weights, dtype=torch.float32)


def metric_name(config: TrainConfig) -> str:
    """What `metric` measures: higher is better for accuracy, lower for the mean absolute error."""
    return "accuracy" if config.loss in ("cross-entropy", "bce") else "mean absolute error"


def metric(config: TrainConfig, outputs: torch.Tensor, targets: torch.Tensor) -> float:
    """Accuracy of classes, or of all 0/1 targets of BCE; mean absolute error of numbers."""
    if metric_name(config) == "accuracy":
        if targets.ndim == 1:
            return float((outputs.argmax(1) == targets).float().mean())
        return float(((outputs > 0) == (targets > 0.5)).float().mean())
    return float((outputs - _one_hot(outputs, targets)).abs().mean())


def _one_hot(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Class indices as 0/1 rows; targets that are numbers already as they are."""
    if targets.is_floating_point():
        return targets
    return functional.one_hot(targets, outputs.shape[1]).to(outputs.dtype)
