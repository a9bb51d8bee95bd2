"""Samples in and results out of .npz files: checked on the way in, and written whole or not at all."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from lilliput.data.arrays import read_npz
from lilliput.data.preprocess import preprocessed
from lilliput.errors import UserError
from lilliput.evaluate import Samples, as_inputs
from lilliput.files import replacing
from lilliput.graph import Array, Graph, Tensor


def read_samples(path: Path, graph: Graph) -> Samples:
    """Array `x` of an .npz, or for a model of several inputs an array by the name of each; in the inputs' types.

    Axes of size 1 may be left out or added, no other shape is guessed. uint8 pixels go the way the model
    recorded. Every refusal names the file.
    """
    arrays = read_npz(path)
    single = len(graph.inputs) == 1
    keys = {"x": graph.inputs[0]} if single else {name: name for name in graph.inputs}
    for key in keys:
        if key not in arrays:
            raise UserError(
                f"'{path}' holds {_names(arrays)}; expected an array '{key}' with the samples along its first axis"
            )
    read = {name: _checked(path, key, arrays[key], graph.tensors[name]) for key, name in keys.items()}
    x, t = read[graph.inputs[0]], graph.tensors[graph.inputs[0]]
    if single and x.dtype == np.uint8 and t.dtype != "uint8":
        read = {t.name: pixels(x, graph, str(path))}
    try:
        found = as_inputs(graph, read)
    except UserError as error:
        raise UserError(f"'{path}': {error}") from error
    return found[t.name] if single else found


def _checked(path: Path, key: str, x: Array, t: Tensor) -> Array:
    """The samples of one input in the shape it wants; floats are finite."""
    wanted = t.shape[1:] if t.shape[:1] == (1,) else t.shape
    if x.dtype.kind not in "iufb":
        raise UserError(f"'{path}': {key} is of type {x.dtype}; expected integers or floats")
    if x.ndim == 0 or len(x) == 0:
        raise UserError(
            f"'{path}': {key} of shape {x.shape} holds no sample; expected (N, {_commas(wanted)})"
        )
    if [d for d in x.shape[1:] if d != 1] != [d for d in wanted if d != 1]:
        raise UserError(
            f"'{path}': {key} has shape {x.shape}; the model's input '{t.name}' needs "
            f"(N, {_commas(wanted)}), channels last"
        )
    if x.dtype.kind == "f":
        with np.errstate(over="ignore"):
            x = x.astype(np.float32)
        if bad := int(np.count_nonzero(~np.isfinite(x))):
            raise UserError(
                f"'{path}': {key} holds {bad} NaN or infinite values; repair or remove those samples"
            )
    return x.reshape(len(x), *wanted)


def pixels(x: Array, graph: Graph, source: str) -> Array:
    """uint8 pixels as the model's input, through the preprocessing that was recorded when it was trained."""
    if "preprocess" not in graph.meta:
        raise UserError(
            f"'{source}': x is of type uint8, and the model does not say how bytes become its input; "
            f"give {graph.tensors[graph.inputs[0]].dtype} or float"
        )
    return preprocessed(graph, x)


def _names(arrays: dict[str, Array]) -> str:
    return "the arrays " + ", ".join(sorted(arrays)) if arrays else "nothing"


def _commas(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))


def write_npz(path: Path, **arrays: Array) -> None:
    """The file appears whole or not at all; the same arrays give the same bytes."""
    with replacing(path) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(value), allow_pickle=False)
