"""`lilliput boards`: the ranking as JSON, and as a table for 80 columns."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from lilliput.boards.model import Board, load_boards
from lilliput.boards.quantity import parse_quantity
from lilliput.boards.rank import Fit, rank, recommend
from lilliput.report import units

_SHORT = {"cortex-m0plus": "m0+", "rv32imc": "rv32", "pxa27x": "pxa"}


def boards(
    profile: Mapping[str, object],
    *,
    latency: str | None = None,
    ram: str | None = None,
    flash: str | None = None,
    energy: str | None = None,
    profiles_by_core: Mapping[str, Mapping[str, object]] | None = None,
) -> dict[str, object]:
    """What `lilliput boards --json` prints: target, recommended (name or null), reason, boards (ranked)."""
    fits = ranked(
        profile, latency=latency, ram=ram, flash=flash, energy=energy, profiles_by_core=profiles_by_core
    )
    choice = recommend(fits)
    return {
        "target": profile["target"],
        "recommended": choice.fit.board.name if choice.fit else None,
        "reason": choice.reason,
        "boards": [_row(fit, fit is choice.fit) for fit in fits],
    }


def ranked(
    profile: Mapping[str, object],
    *,
    latency: str | None = None,
    ram: str | None = None,
    flash: str | None = None,
    energy: str | None = None,
    profiles_by_core: Mapping[str, Mapping[str, object]] | None = None,
) -> list[Fit]:
    """`rank` over all known boards with limits as typed on the command line ("20ms", "20k", "1mJ")."""
    return rank(
        profile,
        load_boards(),
        latency_s=None if latency is None else parse_quantity(latency, "time", "--latency"),
        ram=None if ram is None else int(parse_quantity(ram, "bytes", "--ram")),
        flash=None if flash is None else int(parse_quantity(flash, "bytes", "--flash")),
        energy_j=None if energy is None else parse_quantity(energy, "energy", "--energy"),
        profiles_by_core=profiles_by_core,
    )


def fits_table(fits: Sequence[Fit], *, most: int | None = None) -> Table:
    """Name, core, free memory, latency and energy; `~` marks an estimate from the profile of another core."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("board", no_wrap=True, overflow="ellipsis", max_width=24)
    table.add_column("core", no_wrap=True)
    for name in ("flash\nfree", "RAM\nfree", "latency", "energy"):
        table.add_column(name, justify="right", no_wrap=True)
    best = recommend(fits).fit
    shown = fits[:most]
    for fit in shown:
        style = "bold green" if fit is best else None if fit.fits else "dim"
        about = "~" if fit.estimated_from else ""
        table.add_row(
            fit.board.name,
            _SHORT.get(fit.board.core, fit.board.core.removeprefix("cortex-")),
            units.size(fit.flash_free),
            units.size(fit.ram_free),
            about + units.duration(fit.latency_s) if fit.latency_s else units.MISSING,
            about + units.energy(fit.energy_j) if fit.energy_j else units.MISSING,
            style=style,
        )
    if len(shown) < len(fits):
        table.caption = f"and {len(fits) - len(shown)} more"
    return table


def _row(fit: Fit, recommended: bool) -> dict[str, object]:
    board = fit.board
    return {
        "name": board.name,
        "part": board.part,
        "vendor": board.vendor,
        "core": board.core,
        "clock": board.clock.value,
        "flash": board.flash.value,
        "sram": board.sram.value,
        "fits": fit.fits,
        "flash_free": fit.flash_free,
        "ram_free": fit.ram_free,
        "latency": list(fit.latency_s) if fit.latency_s else None,
        "energy": list(fit.energy_j) if fit.energy_j else None,
        "estimated_from": fit.estimated_from,
        "misses": list(fit.misses),
        "recommended": recommended,
        "note": board.note,
        "sources": _sources(board),
    }


def _sources(board: Board) -> dict[str, str]:
    found = {
        "clock": board.clock,
        "flash": board.flash,
        "sram": board.sram,
        "wait_states": board.flash_wait_states,
    }
    sources = {key: str(figure.source) for key, figure in found.items() if figure}
    if board.active:
        sources["active"] = str(board.active.source)
    return sources
