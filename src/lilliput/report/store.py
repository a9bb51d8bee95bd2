"""report.json: the values of a report kept beside a build, so that its page can be made again."""

from __future__ import annotations

import base64
import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lilliput.errors import UserError
from lilliput.report import data
from lilliput.report.data import Report

FORMAT = 1


def report_json(report: Report, mark: str) -> str:
    """The report as JSON text; `mark` says which build it belongs to."""
    return json.dumps({"format": FORMAT, "build": mark, "report": _encode(report)}, indent=1) + "\n"


def parse_report(text: str, mark: str, source: str) -> Report | None:
    """The report of `report_json`, or None when it belongs to another build; UserError when it is damaged."""
    try:
        file = json.loads(text)
        if file["build"] != mark:
            return None
        if file["format"] != FORMAT:
            raise ValueError(f"format {file['format']}, this version reads {FORMAT}")
        report = _decode(Report, file["report"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"'{source}' cannot be read as a report ({error}); remove it, and train or compile again"
        ) from error
    assert isinstance(report, Report)
    return report


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        content = base64.b64encode(np.ascontiguousarray(value, np.uint8).tobytes()).decode()
        return {"shape": list(value.shape), "pixels": content}
    if isinstance(value, np.generic):
        return _encode(value.item())
    if isinstance(value, Mapping):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    return value


def _decode(hint: Any, value: Any) -> Any:
    """A value of JSON as the type that a field of the report asks for."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        inner = [choice for choice in typing.get_args(hint) if choice is not types.NoneType]
        return None if value is None else _decode(inner[0], value)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint, {**vars(data), "npt": npt, "np": np})
        return hint(**{name: _decode(hints[name], item) for name, item in value.items()})
    if typing.get_origin(hint) is tuple:
        kinds = typing.get_args(hint)
        return tuple(_decode(kinds[0], item) for item in value)
    if typing.get_origin(hint) is np.ndarray:
        return np.frombuffer(base64.b64decode(value["pixels"]), np.uint8).reshape(value["shape"])
    if hint in (int, float, str) and not isinstance(value, (int, float) if hint is float else hint):
        raise TypeError(f"found {value!r} where a {hint.__name__} was expected")
    return value
