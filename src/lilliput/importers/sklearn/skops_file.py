"""Fitted estimators from .skops files: a zip of JSON and arrays, of which only scikit-learn's own types are built."""

from __future__ import annotations

import importlib
import inspect
import struct
import zipfile
from pathlib import Path
from typing import Any

from lilliput.errors import GraphError, UserError
from lilliput.graph import Graph
from lilliput.importers.sklearn import load_sklearn

LARGEST = 256 * 1024 * 1024
"""Bytes that the members of a file may have together when they are unpacked."""
MEMBERS = 20_000


def load_skops(path: Path) -> Graph:
    """The graph of the estimator in a .skops file. Types of other packages are refused, whatever they are."""
    try:
        import skops.io
    except ImportError as error:
        raise UserError(
            "reading .skops files needs scikit-learn and skops: pip install 'lilliput[sklearn]'"
        ) from error
    _check_size(path)
    try:
        foreign = skops.io.get_untrusted_types(file=path)
        refused = sorted(name for name in foreign if not _of_sklearn(name))
        if refused:
            raise UserError(
                f"the file holds objects of types that are not scikit-learn's or numpy's: {', '.join(refused)[:300]}; "
                "save a model of scikit-learn's own estimators, or convert it to ONNX"
            )
        estimator: Any = skops.io.load(path, trusted=foreign)
    except UserError:
        raise
    except Exception as error:  # whatever a damaged file makes skops stumble over
        raise UserError(f"not a readable .skops file ({type(error).__name__}: {str(error)[:200]})") from error
    try:
        return load_sklearn(estimator)
    except (UserError, GraphError):
        raise
    except Exception as error:  # attributes may be missing, or anything at all
        raise UserError(
            f"the {type(estimator).__name__} in the file is not as scikit-learn leaves it "
            f"({type(error).__name__}: {str(error)[:200]})"
        ) from error


def _check_size(path: Path) -> None:
    """Before anything is unpacked: no bomb, and no two members of one name."""
    try:
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, struct.error) as error:
        raise UserError(f"not a .skops file: {error}") from error
    size = sum(m.file_size for m in members)
    if size > LARGEST or len(members) > MEMBERS:
        raise UserError(
            f"{len(members)} members of {size} bytes in all, expected at most {MEMBERS} of {LARGEST} bytes"
        )
    if len({m.filename for m in members}) != len(members):
        raise UserError("two members have one name")


def _of_sklearn(name: str) -> bool:
    """Whether this names a class that scikit-learn itself defines (not one that a module of it only imports)."""
    module, _, attribute = name.rpartition(".")
    if module != "sklearn" and not module.startswith("sklearn."):
        return False
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ImportError:
        return False
    return inspect.isclass(found) and found.__module__.split(".")[0] == "sklearn"
