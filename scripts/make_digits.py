"""Make src/lilliput/data/digits.npz out of the complete MNIST: python scripts/make_digits.py FOLDER.

FOLDER holds the four IDX files. 1,000 digits of each class are drawn from the training files and 200 of each
from the t10k files, with a fixed seed, so the same files give the same bytes.
"""

from __future__ import annotations

import sys
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np

from lilliput.data.dataset import Dataset
from lilliput.data.idx import load_idx

OUTPUT = Path(__file__).parents[1] / "src/lilliput/data/digits.npz"


def draw(data: Dataset, per_class: int, seed: int) -> Dataset:
    """`per_class` samples of every class, in a random order."""
    rng = np.random.default_rng(seed)
    chosen = [
        rng.choice(np.flatnonzero(data.y == k), per_class, replace=False) for k in range(len(data.labels))
    ]
    return data.take(rng.permutation(np.concatenate(chosen)))


def main(folder: Path) -> None:
    train, test = load_idx(folder)
    small_train, small_test = draw(train, 1000, seed=0), draw(test, 200, seed=1)
    arrays = {
        "x_train": small_train.x[..., 0],
        "y_train": small_train.y.astype(np.uint8),
        "x_test": small_test.x[..., 0],
        "y_test": small_test.y.astype(np.uint8),
    }
    # Not numpy's savez: it stamps the entries with the time. Not LZMA: some Pythons are built without it.
    with zipfile.ZipFile(OUTPUT, "w") as archive:
        for name, array in arrays.items():
            buffer = BytesIO()
            np.save(buffer, array)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), buffer.getvalue(), zipfile.ZIP_DEFLATED, 9)
    print(f"{OUTPUT.name}: {OUTPUT.stat().st_size} bytes, {len(small_train)} and {len(small_test)} digits")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
