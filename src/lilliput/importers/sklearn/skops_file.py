"""Fitted estimators from .skops files: a zip of JSON and arrays, of which only scikit-learn's own types are built.

skops sets up objects without their constructors. Of classes in Python that is safe; compiled ones trust what they
are given and can be made to read anywhere. Search trees of neighbours, which we do not need, are therefore left out,
and other compiled classes are refused unless skops calls their constructor.
"""

from __future__ import annotations

import importlib
import inspect
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lilliput.errors import GraphError, UserError
from lilliput.graph import Graph
from lilliput.importers.sklearn import load_sklearn

LARGEST = 256 * 1024 * 1024
"""Bytes that the members of a file may have together when they are unpacked."""
MEMBERS = 20_000
SCHEMA = "schema.json"
SCHEMA_LIMIT = 64 * 1024 * 1024
SEARCH_TREES = ("sklearn.neighbors._kd_tree", "sklearn.neighbors._ball_tree")
BROKEN_ZIP = (
    zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError, struct.error, RuntimeError, zlib.error,
)  # fmt: skip


def load_skops(path: Path) -> Graph:
    """The graph of the estimator in a .skops file. Types of other packages are refused, whatever they are."""
    try:
        import skops.io
    except ImportError as error:
        raise UserError(
            "reading .skops files needs scikit-learn and skops: pip install 'lilliput[sklearn]'"
        ) from error
    data = _checked(path)
    try:
        foreign = skops.io.get_untrusted_types(data=data)
        refused = sorted(name for name in foreign if not _of_sklearn(name))
        if refused:
            raise UserError(
                f"the file holds objects of types that are not scikit-learn's or numpy's: {', '.join(refused)[:300]}; "
                "save a model of scikit-learn's own estimators, or convert it to ONNX"
            )
        estimator: Any = skops.io.loads(data, trusted=foreign)
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


def _checked(path: Path) -> bytes:
    """The file without what compiled classes would believe; no bomb, and no two members of one name."""
    try:
        with zipfile.ZipFile(path) as file:
            members = file.infolist()
            _check_size(members)
            parts = {m.filename: file.read(m) for m in members}
    except BROKEN_ZIP as error:
        raise UserError(f"not a .skops file: {error}") from error
    try:
        schema = json.loads(parts.get(SCHEMA, b"")[:SCHEMA_LIMIT])
    except (ValueError, RecursionError) as error:
        raise UserError(f"not a readable .skops file ({SCHEMA}: {error})") from error
    for node in _nodes(schema):
        _disarm(node)
    parts[SCHEMA] = json.dumps(schema).encode()
    rewritten = io.BytesIO()
    with zipfile.ZipFile(rewritten, "w") as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return rewritten.getvalue()


def _check_size(members: list[zipfile.ZipInfo]) -> None:
    size = sum(m.file_size for m in members)
    if size > LARGEST or len(members) > MEMBERS:
        raise UserError(
            f"{len(members)} members of {size} bytes in all, expected at most {MEMBERS} of {LARGEST} bytes"
        )
    if len({m.filename for m in members}) != len(members):
        raise UserError("two members have one name")


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON document, the outer ones first."""
    front = [tree]
    while front:
        node = front.pop()
        if isinstance(node, dict):
            yield node
            front += node.values()
        elif isinstance(node, list):
            front += node


def _disarm(node: dict[str, Any]) -> None:
    """Make a search tree nothing; refuse other compiled classes that would be set up without their constructor."""
    module, name, loader = (node.get(key) for key in ("__module__", "__class__", "__loader__"))
    if not isinstance(module, str) or not isinstance(name, str) or module.split(".")[0] != "sklearn":
        return
    if module in SEARCH_TREES:
        kept = {key: node[key] for key in ("__id__",) if key in node}
        node.clear()
        node.update(
            {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "null"},
            is_json=True,
            **kept,
        )
    elif loader not in ("TreeNode", "LossNode", "TypeNode") and _compiled(module, name):
        raise UserError(
            f"the file sets up {module[:80]}.{name[:80]}, a compiled class, without its constructor"
        )


def _compiled(module: str, name: str) -> bool:
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        return False
    return inspect.isclass(found) and any(
        not str(getattr(inspect.getmodule(c), "__file__", None) or "").endswith(".py")
        for c in found.__mro__
        if c.__module__.split(".")[0] == "sklearn"
    )


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
