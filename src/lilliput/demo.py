"""The demo, and training of a user's project: both go the whole way of `end_to_end.py`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lilliput.console import out as standard_output

if TYPE_CHECKING:
    from rich.console import Console

    from lilliput.train.project import Project


def demo(
    out: Path | str = "build/digits",
    *,
    quick: bool = False,
    resume: bool = False,
    console: Console | None = None,
) -> dict[str, Any]:
    """From the embedded digits to proven firmware in `out`; `quick` takes the same steps with a toy."""
    from lilliput.end_to_end import Settings, end_to_end
    from lilliput.train import recipes

    project = recipes.demo()
    settings = Settings(
        Path(out),
        console or standard_output(),
        "lilliput demo" + " --quick" * quick,
        resume=resume,
        on_core=20 if quick else 1000,
    )
    return end_to_end(_toy(project, settings.out) if quick else project, settings)


def _toy(project: Project, out: Path) -> Project:
    """Two epochs of a network of 2,000 parameters on 2,000 digits."""
    from lilliput.data import load_digits
    from lilliput.npz import write_npz

    train, test = load_digits()
    few = out / "quick.npz"
    out.mkdir(parents=True, exist_ok=True)
    write_npz(few, x_train=train.x[::5], y_train=train.y[::5], x_test=test.x[::4], y_test=test.y[::4])
    assert project.prune is not None
    options = {"stem": 8, "stages": [[2, 12, 1, 2], [2, 12, 1, 2], [2, 16, 1, 2]], "head": 0}
    return project.model_copy(
        update={
            "data": project.data.model_copy(update={"format": "npz", "path": str(few)}),
            "model": project.model.model_copy(update={"options": options}),
            "train": project.train.model_copy(update={"epochs": 1, "batch_size": 32}),
            "augment": type(project.augment)(),
            "prune": project.prune.model_copy(update={"epochs": 1}),
            "quantize": project.quantize.model_copy(update={"samples": 100}),
        }
    )


def train(
    path: Path | str,
    out: Path | str | None = None,
    *,
    resume: bool = False,
    skip_bad: bool = False,
    console: Console | None = None,
) -> dict[str, Any]:
    """Train as the file says, into `out` (default: build/NAME); compile if it has [compile] or [quantize]."""
    from lilliput.train.project import load_project

    path = Path(path)
    project = load_project(path)
    if skip_bad:
        project = project.model_copy(update={"data": project.data.model_copy(update={"skip_bad": True})})
    from lilliput.end_to_end import Settings, end_to_end

    folder = Path(out) if out else Path("build") / project.name
    settings = Settings(folder, console or standard_output(), f"lilliput train {path.name}", resume=resume)
    return end_to_end(project, settings)
