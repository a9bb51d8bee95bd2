"""Image folders: train/<class>/* and test/<class>/*, any format Pillow reads, gray or RGB, resized."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lilliput.data.dataset import Dataset, make_dataset
from lilliput.errors import UserError

#: Called with the message of each image that `skip_bad` left out.
Report = Callable[[str], None]


def load_folder(
    folder: Path,
    size: tuple[int, int],
    channels: int,
    *,
    skip_bad: bool = False,
    report: Report | None = None,
) -> tuple[Dataset, Dataset | None]:
    """Training and (if there is a folder test/) test data; classes are the sorted subfolders of train/."""
    if channels not in (1, 3):
        raise UserError(f"{folder}: {channels} channels asked for; expected 1 (gray) or 3 (RGB)")
    labels = _classes(folder / "train")
    train = _load_part(folder / "train", labels, size, channels, skip_bad, report)
    if not (folder / "test").is_dir():
        return train, None
    found = _classes(folder / "test")
    if found != labels:
        odd = sorted(set(found) ^ set(labels))
        raise UserError(
            f"{folder}: class folders {odd} are not in both train and test; expected the same in each"
        )
    return train, _load_part(folder / "test", labels, size, channels, skip_bad, report)


def _classes(part: Path) -> tuple[str, ...]:
    if not part.is_dir():
        raise UserError(f"{part}: no such folder; expected one subfolder per class in it")
    labels = tuple(sorted(p.name for p in part.iterdir() if p.is_dir() and not p.name.startswith(".")))
    if len(labels) < 2:
        raise UserError(f"{part}: {len(labels)} class folders; expected at least 2, one subfolder per class")
    return labels


def _load_part(
    part: Path,
    labels: tuple[str, ...],
    size: tuple[int, int],
    channels: int,
    skip_bad: bool,
    report: Report | None,
) -> Dataset:
    files = [
        (path, index)
        for index, label in enumerate(labels)
        for path in sorted((part / label).iterdir())
        if path.is_file() and not path.name.startswith(".")
    ]

    def load(item: tuple[Path, int]) -> NDArray[Any] | UserError:
        try:
            return read_image(item[0], size, channels)
        except UserError as error:
            return error

    images, classes = [], []
    with ThreadPoolExecutor(4) as pool:
        for (_, index), image in zip(files, pool.map(load, files), strict=True):
            if not isinstance(image, UserError):
                images.append(image)
                classes.append(index)
            elif not skip_bad:
                raise image
            elif report:
                report(f"left out {image}")
    for index, label in enumerate(labels):
        if index not in classes:
            raise UserError(
                f"{part / label}: class {label!r} has no usable image; add some or remove the folder"
            )
    return make_dataset(np.stack(images), np.array(classes, np.int64), labels, str(part))


def read_image(path: Path, size: tuple[int, int], channels: int) -> NDArray[Any]:
    """One picture as uint8 (height, width, channels); transparency is laid on black."""
    try:
        from PIL import Image, ImageOps
    except ImportError:
        raise UserError(
            "reading images needs Pillow; install it with: pip install 'lilliput[train]'"
        ) from None
    try:
        with warnings.catch_warnings():
            # A picture of more than 89 million pixels is taken for a decompression bomb, not for a sample.
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                picture = ImageOps.exif_transpose(file)
                if picture.mode.startswith("I;16"):
                    # Pillow's own conversion clips 16-bit gray to 255 instead of scaling it.
                    picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
                if "A" in picture.mode or "transparency" in picture.info:
                    picture = picture.convert("RGBA")
                    picture = Image.alpha_composite(Image.new("RGBA", picture.size, (0, 0, 0, 255)), picture)
                picture = picture.convert("L" if channels == 1 else "RGB")
                if picture.size != (size[1], size[0]):
                    picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
                return np.asarray(picture, np.uint8).reshape(size[0], size[1], channels)
    except Exception as error:  # Pillow's decoders raise many kinds on damaged files: all of them mean this
        raise UserError(
            f"{path}: not a readable image ({type(error).__name__}: {error}); "
            "repair or remove it, or use --skip-bad"
        ) from error
