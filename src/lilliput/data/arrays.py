"""Arrays from .npz files and tables from .csv files."""

from __future__ import annotations

import csv
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.data.dataset import Dataset, check_same_form, make_dataset
from lilliput.errors import UserError

#: Uncompressed size of all arrays together; a compressed archive can claim a thousand times its own size.
LARGEST = 4 << 30
KEYS = "x_train, y_train, x_test, y_test, or x, y; and x_validation, y_validation if they are given"


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an archive; objects (pickle) and more data than a training set can be are refused."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            total = sum(entry.file_size for entry in archive.infolist())
        if total > LARGEST:
            raise UserError(f"{path}: {total} bytes when unpacked; expected at most {LARGEST}")
        if len(set(names)) != len(names):
            raise UserError(f"{path}: two arrays of the same name; expected each once")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected a .npz with {KEYS}") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, MemoryError) as error:
        raise UserError(f"{path}: not a readable .npz without objects ({error})") from error


def load_npz(path: Path) -> tuple[Dataset, Dataset | None, Dataset | None]:
    """Training, validation and test data of x_train, y_train, x_validation, y_validation, x_test, y_test.

    x and y are training data without a test part; validation is None where the file has none. An array `labels` of
    strings, if there is one, names the classes. Targets of real numbers may have any shape after the first dimension.
    """
    arrays = read_npz(path)
    names = _labels(arrays, path)
    if "x" in arrays and "y" in arrays:
        keys = {"train": ("x", "y")}
    else:
        keys = {part: (f"x_{part}", f"y_{part}") for part in ("train", "test")}
    if any(name in arrays for name in ("x_validation", "y_validation")):
        keys["validation"] = ("x_validation", "y_validation")
    missing = [key for pair in keys.values() for key in pair if key not in arrays]
    if missing:
        raise UserError(
            f"{path}: no array {', '.join(missing)} among {', '.join(sorted(arrays))}; expected {KEYS}"
        )
    targets = [arrays[y] for _, y in keys.values()]
    if (
        len(keys) > 1
        and names is None
        and all(y.dtype.kind in "iu" and y.ndim == 1 and y.size for y in targets)
    ):
        largest = max(int(y.max()) for y in targets)
        if largest >= len(targets[0]):
            raise UserError(
                f"{path}: class {largest} among {len(targets[0])} samples; expected classes 0, 1, 2 …"
            )
        names = tuple(str(number) for number in range(largest + 1))
    parts = {
        part: make_dataset(arrays[x], arrays[y], names, str(path) if x == "x" else f"{path} ({part})")
        for part, (x, y) in keys.items()
    }
    for part, data in parts.items():
        check_same_form(parts["train"], data, str(path), part)
    return parts["train"], parts.get("validation"), parts.get("test")


def _labels(arrays: dict[str, NDArray[Any]], path: Path) -> tuple[str, ...] | None:
    if "labels" not in arrays:
        return None
    labels = arrays["labels"]
    if labels.ndim != 1 or labels.dtype.kind != "U":
        raise UserError(
            f"{path}: labels of type {labels.dtype}, shape {labels.shape}; expected a list of strings"
        )
    return tuple(str(label) for label in labels)


def load_csv(path: Path, target: str, *, regression: bool = False) -> Dataset:
    """A table with a header: column `target` holds the class (any text) or number, the others features."""
    header, rows = _table(path)
    if target not in header:
        raise UserError(f"{path}: no column {target!r} among {', '.join(header)}; name the target column")
    column = header.index(target)
    x = np.empty((len(rows), len(header) - 1), np.float32)
    for index, (line, row) in enumerate(rows):
        cells = row[:column] + row[column + 1 :]
        try:
            x[index] = [float(cell) for cell in cells]
        except ValueError as error:
            raise UserError(
                f"{path}, line {line}: {error}; expected a number in every feature column"
            ) from None
        if not np.isfinite(x[index]).all():
            raise UserError(f"{path}, line {line}: {', '.join(cells)}; expected finite numbers")
    texts = [row[column] for _, row in rows]
    if regression:
        try:
            return make_dataset(x, np.array([float(text) for text in texts], np.float32), None, str(path))
        except ValueError as error:
            raise UserError(f"{path}: column {target!r}: {error}; expected numbers") from None
    labels = tuple(sorted(set(texts), key=_natural))
    y = np.array([labels.index(text) for text in texts], np.int64)
    return make_dataset(x, y, labels, str(path))


def _natural(text: str) -> tuple[float, str]:
    """Numbers by value before words by letter, so that class 10 comes after class 9."""
    try:
        return float(text), text
    except ValueError:
        return float("inf"), text


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = [name.strip() for name in next(reader, [])]
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if row]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected a .csv with a header line") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a table ({error})") from error
    if len(header) < 2 or len(set(header)) != len(header):
        raise UserError(
            f"{path}: header {header}; expected the names, all different, of at least two columns"
        )
    if not rows:
        raise UserError(f"{path}: no rows below the header; expected at least one")
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(f"{path}, line {line}: {len(row)} cells; expected {len(header)} as in the header")
    return header, rows
