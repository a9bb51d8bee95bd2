"""The embedded digits: 10,000 training and 2,000 test pictures of MNIST (see DATA_LICENSES.md)."""

from __future__ import annotations

from importlib.resources import as_file, files

from lilliput.data.arrays import load_npz
from lilliput.data.dataset import Dataset
from lilliput.errors import UserError


def load_digits() -> tuple[Dataset, Dataset]:
    """Training and test digits, x uint8 (N, 28, 28, 1), each class 1,000 and 200 times."""
    with as_file(files("lilliput.data") / "digits.npz") as path:
        train, _, test = load_npz(path)
    if test is None:
        raise UserError("the embedded digits.npz holds no test digits; reinstall lilliput")
    return train, test
