"""Writing files that appear whole or not at all, with one message when they cannot be written."""

from __future__ import annotations

import contextlib
import os
import tempfile
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


@contextlib.contextmanager
def staged(folder: Path) -> Iterator[Path]:
    """A place to write files to; they move into `folder` when the block ends, and are gone when it fails.

    Until then `folder` is as it was. Raises UserError when it cannot be written to.
    """
    try:
        # Inside what exists of it: on the same disk, and nothing is made that a failure would leave behind.
        scratch = tempfile.TemporaryDirectory(prefix=".lilliput.", dir=_existing(folder))
    except OSError as error:
        raise UserError(f"cannot write to '{folder}': {error.strerror or error}") from error
    with scratch as place:
        yield Path(place)
        made = sorted(Path(place).iterdir())
        for file in made:  # before the first one moves: all or none
            if (folder / file.name).is_dir():
                raise UserError(
                    f"cannot write '{folder / file.name}': it is a folder; choose another output folder"
                )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for file in made:
                os.replace(file, folder / file.name)
        except OSError as error:
            raise UserError(f"cannot write to '{folder}': {error.strerror or error}") from error


def _existing(folder: Path) -> Path:
    """The innermost folder of a path that exists already; one that may be written to."""
    place = next(place for place in (folder, *folder.parents) if place.exists())
    if not place.is_dir():
        raise UserError(f"cannot write to '{folder}': '{place}' is a file; choose another folder")
    if not os.access(place, os.W_OK):
        raise UserError(f"cannot write to '{folder}': no permission in '{place}'; choose another folder")
    return place


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
