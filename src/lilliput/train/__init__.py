"""Training: from a project file to a trained float model with its figures.

Names are looked up when they are used: reading a project file or a report must not cost the import of torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lilliput.train.config import Augment, PruneConfig, TrainConfig
    from lilliput.train.loop import Epoch, Evaluation, History, InterruptedTrainingError, evaluate, fit
    from lilliput.train.metrics import ClassificationReport, classification_report
    from lilliput.train.pipeline import PruneSummary, TrainResult, train_project
    from lilliput.train.progress import TrainingProgress
    from lilliput.train.project import Project, load_project, parse_project

_HOMES = {
    "config": ("Augment", "PruneConfig", "TrainConfig"),
    "loop": ("Epoch", "Evaluation", "History", "InterruptedTrainingError", "evaluate", "fit"),
    "metrics": ("ClassificationReport", "classification_report"),
    "pipeline": ("PruneSummary", "TrainResult", "train_project"),
    "progress": ("TrainingProgress",),
    "project": ("Project", "load_project", "parse_project"),
}

__all__ = [
    "Augment",
    "ClassificationReport",
    "Epoch",
    "Evaluation",
    "History",
    "InterruptedTrainingError",
    "Project",
    "PruneConfig",
    "PruneSummary",
    "TrainConfig",
    "TrainResult",
    "TrainingProgress",
    "classification_report",
    "evaluate",
    "fit",
    "load_project",
    "parse_project",
    "train_project",
]


def __getattr__(name: str) -> object:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"lilliput.train.{module}"), name)
    raise AttributeError(f"module 'lilliput.train' has no attribute {name!r}")
