"""Sections of a report made from the values that planning and evaluation leave behind."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lilliput.plan import Buffer, Plan
from lilliput.report.data import Block, Classification, ClassRow, Confusion, Kind, MemoryMap, WrongSample
from lilliput.train.metrics import ClassificationReport

_KINDS: dict[str, Kind] = {"input": "input", "output": "output", "scratch": "scratch"}


def memory_map(plan: Plan) -> MemoryMap:
    """The plan's buffers as blocks; tensors that share one in turn are one block, named by both.

    Layers of a stream are one step. A plan counts the filling of the input as step -1 and the reading of the output as
    a step after the last one; the map shows the steps that compute.
    """
    names = [step.site.name or step.site.op.name for step in plan.steps]
    steps = tuple(
        names[first] if first == last else f"{names[first]} … {names[last]}" for first, last in plan.moments()
    )
    end = max(0, len(steps) - 1)
    blocks = [
        Block(
            tensor=" → ".join(buffer.tensors) + _rows(plan, buffer),
            first=min(max(buffer.first, 0), end),
            last=min(max(buffer.last, 0), end),
            offset=offset,
            size=buffer.size,
            kind=_KINDS.get(buffer.kind, "activation"),
        )
        for buffer, offset in plan.buffers
    ]
    return MemoryMap(plan.arena, steps, tuple(sorted(blocks, key=lambda b: (b.first, b.offset))))


def _rows(plan: Plan, buffer: Buffer) -> str:
    """How many rows of a streamed tensor there are."""
    rows = plan.ring(buffer.tensors[0])
    return "" if rows is None else f" ({rows} {'row' if rows == 1 else 'rows'})"


def classification(report: ClassificationReport) -> Classification:
    """Rows by class and their plain (macro) and support-weighted means."""
    figures = np.stack([report.precision, report.recall, report.f1])

    def row(label: str, values: npt.NDArray[np.float64], support: int) -> ClassRow:
        return ClassRow(label, float(values[0]), float(values[1]), float(values[2]), support)

    rows = tuple(row(label, figures[:, i], int(report.support[i])) for i, label in enumerate(report.labels))
    total = int(report.support.sum())
    weighted = figures @ (report.support / max(total, 1))
    return Classification(
        rows, (row("macro average", figures.mean(axis=1), total), row("weighted average", weighted, total))
    )


def confusion(report: ClassificationReport) -> Confusion:
    """The same counts as whole numbers."""
    return Confusion(report.labels, tuple(tuple(int(n) for n in row) for row in report.confusion))


def wrong_samples(
    pictures: npt.NDArray[np.uint8],
    truth: npt.NDArray[np.integer],
    predicted: npt.NDArray[np.integer],
    labels: Sequence[str],
    confidence: npt.NDArray[np.floating] | None = None,
    most: int = 24,
) -> tuple[WrongSample, ...]:
    """The first misread samples, or those the model was surest of where `confidence` [N] is given."""
    wrong = np.flatnonzero(truth != predicted)
    if confidence is not None:
        wrong = wrong[np.argsort(-confidence[wrong], kind="stable")]
    return tuple(
        WrongSample(
            pictures[i],
            labels[int(truth[i])],
            labels[int(predicted[i])],
            None if confidence is None else float(confidence[i]),
        )
        for i in wrong[:most]
    )
