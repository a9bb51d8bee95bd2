"""Loading a model, whatever it comes from, as a simplified graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from lilliput.errors import GraphError, UserError
from lilliput.graph import Array, Graph
from lilliput.passes import simplify

if TYPE_CHECKING:
    import torch


def load(source: torch.nn.Module | Path | str, example: torch.Tensor | Array | None = None) -> Graph:
    """The graph of a torch module (with one `example` input, batch 1) or of a .lil or .tflite file."""
    if not isinstance(source, str | Path):
        from lilliput.importers.torch import load_torch

        if example is None:
            raise UserError("a torch module needs an example input: load(module, torch.zeros(1, 1, 28, 28))")
        return simplify(load_torch(source, example))
    path = Path(source)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        found = f"the ending '{path.suffix}'" if path.suffix else "no ending"
        raise UserError(f"'{path}' has {found}; models are read from {' and '.join(READERS)} files")
    if not path.exists():
        raise UserError(f"'{path}' does not exist")
    try:
        return simplify(reader(path))
    except (UserError, GraphError) as error:
        raise UserError(str(error) if str(path) in str(error) else f"'{path}': {error}") from error


def _lil(path: Path) -> Graph:
    from lilliput import store

    return store.load(path)


def _tflite(path: Path) -> Graph:
    from lilliput.importers.tflite import load_tflite

    return load_tflite(path)


READERS: dict[str, Callable[[Path], Graph]] = {".lil": _lil, ".tflite": _tflite}
