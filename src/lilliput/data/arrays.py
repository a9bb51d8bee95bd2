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
KEYS = "x_train, y_train, x_test, y_test, or x, y"


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


def load_npz(path: Path) -> tuple[Dataset, Dataset | None]:
    """Training and test data of x_train, y_train, x_test, y_test; with x and y only, no test data.

    An array `labels` of strings, if there is one, names the classes.
    """
    arrays = read_npz(path)
    names = _labels(arrays, path)
    if "x" in arrays and "y" in arrays:
        return make_dataset(arrays["x"], arrays["y"], names, str(path)), None
    missing = [key for key in ("x_train", "y_train", "x_test", "y_test") if key not in arrays]
    if missing:
        raise UserError(
            f"{path}: no array {', '.join(missing)} among {', '.join(sorted(arrays))}; expected {KEYS}"
        )
    y_train, y_test = arrays["y_train"], arrays["y_test"]
    if names is None and all(y.dtype.kind in "iu" and y.ndim == 1 and y.size for y in (y_train, y_test)):
        largest = max(int(y_train.max()), int(y_test.max()))
        if largest >= len(y_train):
            raise UserError(
                f"{path}: class {largest} among {len(y_train)} samples; expected classes 0, 1, 2 …"
            )
        names = tuple(str(number) for number in range(largest + 1))
    train = make_dataset(arrays["x_train"], y_train, names, f"{path} (train)")
    test = make_dataset(arrays["x_test"], y_test, names, f"{path} (test)")
    check_same_form(train, test, str(path))
    return train, test


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
