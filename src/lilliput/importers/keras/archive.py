"""The .keras file: a zip of config.json and HDF5 weights, read with every size checked; nothing is unpacked to disk.

Keras itself is not needed: the JSON says what the layers are, and code (Lambda layers, custom objects) is never run.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array
from lilliput.importers.keras.hdf5 import Hdf5

LIMIT = 256 * 1024 * 1024
"""Largest file, and largest sum of its parts when unpacked; besides the weights it holds an optimizer's state."""
CONFIG_LIMIT = 8 * 1024 * 1024
PARTS = 1000
WEIGHTS = "model.weights.h5"
BROKEN_FILE = (OSError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, ValueError)


class Weights:
    """The variables of layers by their path in the file, "layers/dense"."""

    def __init__(self, data: bytes) -> None:
        self.file = Hdf5(data)
        self._known: dict[str, list[Array]] = {}

    def of(self, path: str, where: str) -> list[Array]:
        """A layer's own variables in order, as float32 where they are real."""
        if path not in self._known:
            self._known[path] = self._read(f"{path}/vars", where)
        return self._known[path]

    def _read(self, path: str, where: str) -> list[Array]:
        names = self.file.names(path)
        if sorted(names) != sorted(str(i) for i in range(len(names))):
            raise UserError(
                f"{where}: its variables are {sorted(names)[:8]}, expected 0, 1, ...: quantized by Keras?"
            )
        found = []
        for name in (str(i) for i in range(len(names))):
            address = self.file.find(f"{path}/{name}")
            assert address is not None
            data = self.file.array(address)
            if data.dtype.kind == "f":
                with np.errstate(over="ignore"):  # becomes infinite, which is refused
                    data = data.astype(np.float32)
                strange = np.count_nonzero(~np.isfinite(data))
                if strange:
                    raise UserError(
                        f"{where}: variable {name} holds NaN or infinite values ({strange} of {data.size}); "
                        "train the model again"
                    )
            found.append(data)
        return found


@dataclass(frozen=True)
class Archive:
    """What is needed of a file: the model's own description, and its weights."""

    config: dict[str, Any]
    weights: Weights


def read_archive(source: Path | bytes) -> Archive:
    """Check and read a .keras file."""
    try:
        if isinstance(source, Path) and source.stat().st_size > LIMIT:
            raise UserError(f"'{source}' is larger than {LIMIT} bytes")
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            parts = _parts(archive)
            metadata = _json(archive, parts, "metadata.json") if "metadata.json" in parts else {}
            version = str(metadata.get("keras_version", "3"))
            if not version.startswith("3"):
                raise UserError(
                    f"written by Keras {version[:20]}, expected 3: load it there and save it again"
                )
            config = _json(archive, parts, "config.json")
            return Archive(config, Weights(_content(archive, parts, WEIGHTS, LIMIT)))
    except BROKEN_FILE as error:
        raise UserError(f"not a readable .keras file: {error}") from error


def _parts(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    parts = {info.filename: info for info in infos}
    if len(parts) != len(infos):
        raise UserError("the file names a part twice")
    for name in parts:
        if name.startswith(("/", "\\")) or re.search(r"(^|[/\\])\.\.([/\\]|$)|^[A-Za-z]:", name):
            raise UserError(f"the part {name[:100]!r} would lie outside of the file's folder")
    size = sum(info.file_size for info in infos)
    if len(parts) > PARTS or size > LIMIT:
        raise UserError(
            f"it unpacks to {size} bytes in {len(parts)} parts, expected at most {LIMIT} in {PARTS}"
        )
    return parts


def _content(archive: zipfile.ZipFile, parts: dict[str, zipfile.ZipInfo], name: str, most: int) -> bytes:
    """A part of at most `most` bytes; its size is known before anything is unpacked."""
    info = parts.get(name)
    if info is None:
        found = ", ".join(sorted(parts))[:200]
        raise UserError(f"the part {name} is missing; it has {found}")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise UserError(
            f"the part {name} is compressed by method {info.compress_type}, expected deflate or none"
        )
    if info.file_size > most:
        raise UserError(f"the part {name} unpacks to {info.file_size} bytes, expected at most {most}")
    return archive.read(info)


def _json(archive: zipfile.ZipFile, parts: dict[str, zipfile.ZipInfo], name: str) -> dict[str, Any]:
    text = _content(archive, parts, name, CONFIG_LIMIT)
    try:
        found = json.loads(text, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is not readable JSON: {error}") from error
    if not isinstance(found, dict):
        raise UserError(f"{name} holds {type(found).__name__}, expected an object")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} where a number is expected")
