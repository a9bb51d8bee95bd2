"""The verbs, in the order `lilliput --help` lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from lilliput.cli import Interrupted, build, exchange, inspect, learn
from lilliput.version import __version__


class Verbs(TyperGroup):
    """Carries Ctrl-C out to `main`, and lists the verbs in our order."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise Interrupted from stop


app = typer.Typer(
    cls=Verbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lilliput {__version__}")
        raise typer.Exit


@app.callback()
def lilliput(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Machine learning on microcontrollers: from data to proven C99."""


VERBS: tuple[Callable[..., None], ...] = (
    learn.demo,
    learn.train,
    build.compile,
    build.run,
    build.validate,
    exchange.export,
    inspect.profile,
    inspect.boards,
    inspect.report,
    inspect.ops,
    inspect.targets,
)
for verb in VERBS:
    app.command()(verb)
