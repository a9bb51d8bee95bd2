"""Classification figures in numpy: confusion matrix, precision, recall, F1 and support of each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class ClassificationReport:
    """Per class, in the order of `labels`; `confusion[i, j]` counts samples of class i taken for class j."""

    labels: tuple[str, ...]
    precision: Array
    recall: Array
    f1: Array
    support: Array
    accuracy: float
    confusion: Array

    def to_json(self) -> dict[str, object]:
        return {
            "accuracy": self.accuracy,
            "classes": [
                {
                    "label": label,
                    "precision": float(self.precision[i]),
                    "recall": float(self.recall[i]),
                    "f1": float(self.f1[i]),
                    "support": int(self.support[i]),
                }
                for i, label in enumerate(self.labels)
            ],
            "confusion": self.confusion.tolist(),
        }


def confusion_matrix(truth: Array, predicted: Array, classes: int) -> Array:
    """(classes, classes) counts: row is the true class, column the predicted one."""
    cells = truth.astype(np.int64) * classes + predicted.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def classification_report(truth: Array, predicted: Array, labels: tuple[str, ...]) -> ClassificationReport:
    """All figures of predicted class indices; a ratio of nothing to nothing is 0."""
    confusion = confusion_matrix(truth, predicted, len(labels))
    right = np.diag(confusion).astype(np.float64)
    support, taken = confusion.sum(axis=1), confusion.sum(axis=0)
    precision, recall = _ratio(right, taken), _ratio(right, support)
    f1 = _ratio(2 * precision * recall, precision + recall)
    accuracy = float(right.sum() / max(len(truth), 1))
    return ClassificationReport(labels, precision, recall, f1, support, accuracy, confusion)


def _ratio(part: Array, whole: Array) -> Array:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole != 0)
