"""What a person sees while a model is trained: a bar over all steps and one line per epoch."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from lilliput.train.loop import Epoch


class TrainingProgress:
    """A context manager whose `step` and `epoch` are the callbacks of `fit`; `phase` starts a new bar."""

    def __init__(self, console: Console | None = None) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self.bars = Progress(*columns, console=console or Console(stderr=True), transient=True)
        self.task: TaskID | None = None
        self.epochs, self.metric = 0, ""

    def __enter__(self) -> TrainingProgress:
        self.bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bars.stop()

    def phase(self, name: str, epochs: int, metric: str) -> None:
        """A new bar for `epochs` epochs in place of the one before; `metric` names the figure of an epoch."""
        if self.task is not None:
            self.bars.remove_task(self.task)
        self.note(f"[bold]{name}[/bold] ({epochs} epochs)")
        self.epochs, self.metric = epochs, metric
        self.task = self.bars.add_task(name, total=None)

    def note(self, text: str) -> None:
        self.bars.console.print(text, highlight=False)

    def step(self, epoch: int, epochs: int, step: int, steps: int) -> None:
        if self.task is not None:
            done = (epoch - 1) * steps + step
            self.bars.update(
                self.task, completed=done, total=epochs * steps, description=f"epoch {epoch}/{epochs}"
            )

    def epoch(self, epoch: Epoch) -> None:
        self.note(
            f"  epoch {epoch.number:3d}/{self.epochs}  loss {epoch.train_loss:.4f}  "
            f"validation loss {epoch.validation_loss:.4f}  {self.metric} {epoch.metric:.4f}  "
            f"{epoch.seconds:.1f} s"
        )
