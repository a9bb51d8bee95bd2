"""Keras 3 models -> Graph: from .keras files, without Keras, and from models in memory, through such a file."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lilliput.errors import UserError
from lilliput.graph import Graph, Shape, verify
from lilliput.importers.keras.archive import read_archive
from lilliput.importers.keras.builder import BROKEN, MODELS, KerasBuilder, check_type, kind_of
from lilliput.importers.keras.models import input_specs, run_model
from lilliput.importers.keras.settings import Settings


def load_keras(source: Path | bytes | Any, *, shapes: Mapping[str, Shape] | None = None) -> Graph:
    """The graph of a .keras file or of a built keras.Model, for one sample.

    `shapes` fixes the shapes of inputs that the model leaves open. Reals of any width are computed in float32.
    """
    if not isinstance(source, Path | bytes):
        return _from_object(source, shapes)
    archive = read_archive(source)
    spec = archive.config
    try:
        if kind_of(spec) not in MODELS:
            raise UserError(
                f"the file holds a {kind_of(spec)[:80]}, expected a Functional or Sequential model"
            )
        check_type(Settings(spec.get("config"), "the model"))
        b = KerasBuilder(variables=archive.weights)
        b.admit(len(archive.weights.file.data) // 4)
        inputs = [_input(b, *found, (shapes or {})) for found in input_specs(spec)]
        results = run_model(b, spec, "", inputs, ())
        outputs = [b.logical(v) for v in results]
        graph = Graph(
            tuple(v.name for v in inputs), tuple(v.name for v in outputs), tuple(b.nodes), b.tensors
        )
        return verify(graph.with_nodes(graph.nodes))
    except BROKEN as error:
        raise UserError(f"the model breaks a rule: {error}") from error


def _input(b: KerasBuilder, name: str, shape: Any, dtype: Any, shapes: Mapping[str, Shape]) -> Any:
    given = list(shapes.get(name, ())) or shape
    if not isinstance(given, list) or not given:
        raise UserError(
            f"input '{name}' has no shape: the model was never built; call it once, or give the shape "
            f"(shapes={{'{name}': (1, ...)}})"
        )
    return b.add_input(name, given, str(dtype))


def _from_object(model: Any, shapes: Mapping[str, Shape] | None) -> Graph:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        try:
            model.save(path)
        except Exception as error:  # Keras raises many types; all mean the same to the user
            raise UserError(f"Keras cannot save the model: {error}") from error
        return load_keras(path, shapes=shapes)
