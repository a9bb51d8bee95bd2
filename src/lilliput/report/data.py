"""The values a report shows: plain data in; a section that is None or empty is left out of the page.

`ProfileJson`, `ValidationJson` and `BoardJson` are the shapes of what `profile --json`, `validate --json` and
`boards --json` print, so that a report can be made from those files as well as from live objects.
Fractions are 0..1, times seconds, energies joules, sizes bytes, clocks hertz.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NotRequired, TypedDict

if TYPE_CHECKING:  # verbs that only print tables need no numpy
    import numpy as np
    import numpy.typing as npt

Kind = Literal["input", "activation", "scratch", "output"]


class FlashJson(TypedDict):
    """Bytes of flash that the model adds to an empty firmware."""

    code: int
    constants: int
    total: int


class RamJson(TypedDict):
    """Bytes of RAM; the arena holds input and output."""

    arena: int
    stack: int
    static: int
    total: int


class LayerJson(TypedDict):
    """One step of the plan. Figures that were not measured are None or absent, never guessed."""

    name: str
    op: str
    kernel: str
    macs: int
    instructions: int | None
    code: NotRequired[int | None]
    constants: NotRequired[int | None]


class ProfileJson(TypedDict):
    """What `lilliput profile --json` prints."""

    target: str
    macs: int
    removed: NotRequired[dict[str, Any] | None]
    instructions: int | None
    instructions_range: Sequence[int] | None
    cycles_estimate: Sequence[int] | None
    flash: FlashJson
    ram: RamJson
    layers: Sequence[LayerJson]


class ValidationJson(TypedDict):
    """What `lilliput validate --json` prints; `validation_facts` lists the keys beyond these."""

    samples: int
    bit_exact: bool
    first_difference: object


class BoardJson(TypedDict):
    """One board or part; free space is negative where the model does not fit, a range is (least, most).

    `estimated_from` names the core that was profiled where it is not the board's own; `misses` says why it
    does not fit.
    """

    name: str
    core: str
    clock: float | None
    flash: int
    sram: int
    fits: bool
    flash_free: int
    ram_free: int
    latency: Sequence[float] | None
    energy: Sequence[float] | None
    recommended: bool
    estimated_from: NotRequired[str | None]
    misses: NotRequired[Sequence[str]]


@dataclass(frozen=True)
class AccuracyRow:
    """How often one form of the model is right: float32, int8 reference, on the core (last, shown big)."""

    name: str
    value: float
    samples: int | None = None


@dataclass(frozen=True)
class Epoch:
    """One pass over the training set."""

    train_loss: float
    val_loss: float
    val_accuracy: float
    lr: float


@dataclass(frozen=True)
class Training:
    """Epochs in order; `pruned_after` is how many had been done when channels were removed."""

    epochs: tuple[Epoch, ...]
    pruned_after: int | None = None


@dataclass(frozen=True)
class ModelSize:
    """What pruning is about; the last three are the compiled firmware's, where it was compiled."""

    params: int
    macs: int
    accuracy: float
    flash: int | None = None
    ram: int | None = None
    instructions: int | None = None


@dataclass(frozen=True)
class Pruning:
    """The model before channels were removed, and after that and fine-tuning."""

    before: ModelSize
    after: ModelSize


@dataclass(frozen=True)
class ClassRow:
    """One line of a classification report."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Classification:
    """Rows by class, then averages ("macro average", "weighted average")."""

    rows: tuple[ClassRow, ...]
    averages: tuple[ClassRow, ...] = ()


@dataclass(frozen=True)
class Confusion:
    """`counts[i][j]`: how many samples of class i were read as class j."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, eq=False)
class WrongSample:
    """A test sample that was misread; `pixels` is uint8 [H, W], [H, W, 1] or [H, W, 3]."""

    pixels: npt.NDArray[np.uint8]
    true: str
    predicted: str
    confidence: float | None = None


@dataclass(frozen=True)
class Block:
    """A tensor's place in the arena: bytes [offset, offset + size), steps first..last, both included."""

    tensor: str
    first: int
    last: int
    offset: int
    size: int
    kind: Kind


@dataclass(frozen=True)
class MemoryMap:
    """The plan of the arena over time; `steps` are the layers' names in the order they run."""

    arena: int
    steps: tuple[str, ...]
    blocks: tuple[Block, ...]
    before: MemoryMap | None = None  # layer by layer, with nothing shared


@dataclass(frozen=True)
class SqnrRow:
    """How far a layer's int8 output is from float32: signal to quantization noise in dB; inf where exact."""

    name: str
    op: str
    sqnr_db: float


@dataclass(frozen=True, eq=False)
class Report:
    """Everything on the page."""

    title: str
    model: str
    version: str
    target: str
    command: str | None = None
    accuracy: tuple[AccuracyRow, ...] | None = None
    training: Training | None = None
    pruning: Pruning | None = None
    classification: Classification | None = None
    confusion: Confusion | None = None
    wrong: tuple[WrongSample, ...] | None = None
    memory: MemoryMap | None = None
    profile: ProfileJson | None = None
    quantization: tuple[SqnrRow, ...] | None = None
    validation: ValidationJson | None = None
    boards: tuple[BoardJson, ...] | None = None


def validation_facts(result: ValidationJson) -> list[tuple[str, str]]:
    """The scalar entries that `validate` reports besides its verdict, as (name, text)."""
    known = ValidationJson.__required_keys__
    return [
        (
            key.replace("_", " "),
            f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value),
        )
        for key, value in result.items()
        if key not in known and isinstance(value, (str, int, float))
    ]


def difference_text(difference: object) -> str:
    """The first difference as one line, whatever form `validate` gave it."""
    if isinstance(difference, dict):
        return ", ".join(f"{str(key).replace('_', ' ')} {value}" for key, value in difference.items())
    return str(difference)


def busiest_step(memory: MemoryMap) -> tuple[int, int]:
    """(step, bytes in use) where most of the arena is in use; tensors that share bytes are counted once."""
    usage = [_bytes_in_use(memory, step) for step in range(len(memory.steps))]
    most = max(usage, default=0)
    return (usage.index(most) if usage else 0), most


def _bytes_in_use(memory: MemoryMap, step: int) -> int:
    live = sorted((b.offset, b.offset + b.size) for b in memory.blocks if b.first <= step <= b.last)
    total, end = 0, 0
    for low, high in live:
        total += max(0, high - max(low, end))
        end = max(end, high)
    return total


def instructions_per_mac(layer: LayerJson) -> float | None:
    """None where there is nothing to divide: a layer without MACs, or no measured run."""
    instructions = layer["instructions"]
    return instructions / layer["macs"] if instructions is not None and layer["macs"] else None
