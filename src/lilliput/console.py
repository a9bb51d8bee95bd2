"""What a person sees: results on stdout, progress on stderr, and progress only when somebody is looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

Progress = Callable[[int], None]


def out() -> Console:
    """Results go to stdout."""
    return Console(highlight=False)


def err() -> Console:
    """Progress and complaints go to stderr."""
    return Console(stderr=True, highlight=False)


@contextmanager
def progress(title: str, total: int, *, quiet: bool = False) -> Iterator[Progress]:
    """A bar over `total` items on stderr, when a person is looking; the callback takes the number done."""
    console = err()
    if quiet or not console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        task = bars.add_task(title, total=total)
        yield lambda done: bars.update(task, completed=done)


@contextmanager
def status(title: str, *, quiet: bool = False) -> Iterator[None]:
    """Says what is going on while a step of unknown length runs, when a person is looking."""
    console = err()
    if quiet or not console.is_terminal:
        yield
        return
    with console.status(title):
        yield
