"""The IDX format (MNIST's), plain or gzip: sizes, then big-endian numbers; hostile sizes are refused."""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.data.dataset import Dataset, check_same_form, make_dataset
from lilliput.errors import UserError

DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
#: More than this is no microcontroller's training set, but may be a bomb: 60,000 x 28 x 28 is 47 MB.
LARGEST = 4 << 30


def read_idx(path: Path) -> NDArray[Any]:
    """The array of one IDX file."""
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as packed:
                return _read(packed, path)
        with path.open("rb") as file:
            return _read(file, path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected an IDX file (.gz or plain)") from None
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({error}); expected an IDX file (.gz or plain)") from error


def _read(file: io.BufferedIOBase, path: Path) -> NDArray[Any]:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES or not 1 <= magic[3] <= 4:
        raise UserError(
            f"{path}: starts with {magic.hex() or 'nothing'}; expected the IDX header 0000 type rank"
        )
    rank = magic[3]
    header = file.read(4 * rank)
    if len(header) < 4 * rank:
        raise UserError(f"{path}: ends inside its header; expected {rank} sizes")
    shape = struct.unpack(f">{rank}I", header)
    dtype = np.dtype(DTYPES[magic[2]])
    size = math.prod(shape) * dtype.itemsize
    if size > LARGEST:
        raise UserError(
            f"{path}: its header asks for {size} bytes (shape {shape}); expected at most {LARGEST}"
        )
    body = _read_at_most(file, size + 1)
    if len(body) != size:
        extra = "more" if len(body) > size else str(len(body))
        raise UserError(
            f"{path}: its header promises {size} bytes of data (shape {shape}) but the file has {extra}"
        )
    return np.frombuffer(body, dtype).reshape(shape).astype(dtype.newbyteorder("="))


def _read_at_most(file: io.BufferedIOBase, size: int) -> bytes:
    """Up to `size` bytes in pieces: memory follows what the file really holds, not what its header claims."""
    pieces, left = [], size
    while left and (piece := file.read(min(left, 1 << 20))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def find_idx(folder: Path, prefix: str, kind: str) -> Path:
    """The file of MNIST's naming, e.g. train-images-idx3-ubyte or train-images.idx3-ubyte, .gz or plain."""
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; expected the IDX files of MNIST's naming in it")
    found = sorted(p for p in folder.iterdir() if p.name.startswith(f"{prefix}-{kind}") and "idx" in p.name)
    if not found:
        raise UserError(
            f"{folder}: no file {prefix}-{kind}*idx*; expected the IDX files of MNIST's naming in it"
        )
    return found[0]


def load_idx(folder: Path) -> tuple[Dataset, Dataset]:
    """Training and test data of a folder with train-images, train-labels, t10k-images and t10k-labels."""
    parts = []
    for prefix in ("train", "t10k"):
        images, labels = (read_idx(find_idx(folder, prefix, kind)) for kind in ("images", "labels"))
        if labels.ndim != 1:
            raise UserError(f"{folder}: {prefix}-labels has shape {labels.shape}; expected one dimension")
        parts.append((images, labels.astype(np.int64)))
    classes = max(int(labels.max(initial=0)) for _, labels in parts) + 1
    names = tuple(str(number) for number in range(classes))
    train, test = (make_dataset(x, y, names, str(folder)) for x, y in parts)
    check_same_form(train, test, str(folder))
    return train, test
