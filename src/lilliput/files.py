"""Writing files that appear whole or not at all, with one message when they cannot be written."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from lilliput.errors import UserError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place beside `path` to write to; it becomes `path` when the block ends, and is gone when it fails.

    Raises UserError when the file cannot be written (a full disk, no permission, no such folder).
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write '{path}': {reason}; free some space or choose another folder"
        ) from error
    finally:
        with contextlib.suppress(OSError):  # whatever hinders this was reported above
            beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace a text file as a whole."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file as a whole, on the disk before it gets its name: what a checkpoint needs. Makes its folder."""
    with replacing(path) as beside:
        beside.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
