"""What an importer says of a name that it does not know: the nearest ones that it does, and where all of them are."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

SHOWN = 6


def alternatives(name: str, known: Iterable[str], source: str) -> str:
    """The end of a message: `source` is what `lilliput ops --from` calls the list of `known`."""
    names = sorted(known)
    folded = {n.lower(): n for n in names}
    name = name[:60]  # a file may call it what it likes
    near = [folded[n] for n in difflib.get_close_matches(name.lower(), folded, SHOWN, 0.6)]
    near += [n for n in names if len(name) > 3 and name.lower() in n.lower() and n not in near]
    shown = f"{', '.join(near[:SHOWN])}, …" if near else f"{len(names)} others"
    return f"Supported: {shown} (lilliput ops --from {source} lists all {len(names)})"
