"""The report: `html` makes one page and `terminal` tables, of the plain values that are defined in `data`.

Only the values are imported here: a verb that prints a table waits for neither numpy nor the templates.
"""

from lilliput.report.data import (
    AccuracyRow,
    Block,
    BoardJson,
    Classification,
    ClassRow,
    Confusion,
    Epoch,
    MemoryMap,
    ModelSize,
    ProfileJson,
    Pruning,
    Report,
    SqnrRow,
    Training,
    ValidationJson,
    WrongSample,
)

__all__ = [
    "AccuracyRow",
    "Block",
    "BoardJson",
    "ClassRow",
    "Classification",
    "Confusion",
    "Epoch",
    "MemoryMap",
    "ModelSize",
    "ProfileJson",
    "Pruning",
    "Report",
    "SqnrRow",
    "Training",
    "ValidationJson",
    "WrongSample",
]
