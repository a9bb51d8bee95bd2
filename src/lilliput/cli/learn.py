"""The verbs that train: demo and train. Only these import torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lilliput.cli.build import Json


def demo(
    output: Annotated[
        Path, typer.Option("--output", "--out", "-o", metavar="DIR", help="Folder for everything.")
    ] = Path("build/digits"),
    quick: Annotated[
        bool, typer.Option("--quick", help="Seconds instead of minutes: a poor model, the same steps.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted demo stopped.")
    ] = False,
    json: Json = False,
) -> None:
    """The whole way: from handwritten digits to proven firmware."""
    from lilliput.cli.support import print_json
    from lilliput.console import err, out
    from lilliput.demo import demo as run_demo

    facts = run_demo(output, quick=quick, resume=resume, console=err() if json else out())
    if json:
        print_json(facts)


def train(
    project: Annotated[Path, typer.Argument(metavar="PROJECT", help="A project file, project.toml.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Default: build/NAME of the project.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted training stopped.")
    ] = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave unreadable images out; each is named.")
    ] = False,
    json: Json = False,
) -> None:
    """Train on your own data, as a project file says."""
    from lilliput.cli.support import print_json
    from lilliput.console import err, out
    from lilliput.demo import train as run_train

    facts = run_train(project, output, resume=resume, skip_bad=skip_bad, console=err() if json else out())
    if json:
        print_json(facts)
