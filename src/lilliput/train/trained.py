"""What training gives, whatever was trained: the seam between learning and deployment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lilliput.data import Dataset, Preprocess, Split
from lilliput.evaluate import run
from lilliput.graph import Array, Graph
from lilliput.passes.chain import chain
from lilliput.train.anomaly import reconstruction_error
from lilliput.train.figures import Metric
from lilliput.train.metrics import ClassificationReport
from lilliput.train.project import Project
from lilliput.train.source import detects

if TYPE_CHECKING:
    from lilliput.train.pipeline import TrainResult


@dataclass(frozen=True, eq=False)
class Trained:
    """A float graph, and a metric of the real values of its first output.

    `front` is what the device computes in float32 ahead of `graph`, which alone is quantized: statistics over time,
    mean and deviation of features. `split` holds samples as they come to the device.
    """

    project: Project
    split: Split
    graph: Graph
    front: Graph | None
    metric: Metric
    test: float
    report: ClassificationReport | None
    seconds: float
    quantizes: bool = True
    """Whether integers serve this kind of model better than float32."""
    float_io: bool = True
    """Whether the device takes and gives float32."""
    network: TrainResult | None = None
    """What else there is to tell of a network: its history, and how it was pruned."""

    @property
    def accuracy(self) -> bool:
        return self.metric.name == "accuracy"

    @property
    def detects(self) -> bool:
        return detects(self.project)

    @property
    def method(self) -> str:
        """How it is quantized, "auto" resolved to "none" where float32 is better."""
        asked = self.project.quantize.method
        return "none" if asked == "auto" and not self.quantizes else asked

    def device_input(self, x: Array) -> Array:
        """Samples as the whole graph takes them: what of the preprocessing is not part of it is done here."""
        record = self.graph.meta.get("preprocess")
        return x if record is None else Preprocess.from_json(record).apply(x)

    def model_input(self, x: Array) -> Array:
        """Samples as `graph` takes them."""
        return self.device_input(x) if self.front is None else run(self.front, x)

    def whole(self, graph: Graph) -> Graph:
        """The float or quantized form of `graph` with all that is computed around it."""
        if self.detects and self.network is not None:
            graph = reconstruction_error(graph)
        return graph if self.front is None else chain(self.front, graph)


def spread(total: int, first: int) -> Array:
    """All indices, those of `first` samples at even distances before the others."""
    chosen = np.unique(np.linspace(0, total - 1, min(first, total)).round().astype(np.int64))
    return np.concatenate([chosen, np.setdiff1d(np.arange(total), chosen)])


def drawn(data: Dataset, wanted: int) -> Dataset:
    """`wanted` samples, the same every time."""
    return data.take(np.sort(np.random.default_rng(0).permutation(len(data))[:wanted]))
