"""Windows of a watch's motion sensors into data.npz: nobody is in more than one of its three parts.

    python prepare.py [har_watch_windows_50hz.npz]

Smartphone and Smartwatch HAR Dataset (Matey-Sanz et al., Data in Brief 2023), CC BY 4.0.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
FILE = HERE / "../../../shared/data/har/har_watch_windows_50hz.npz"
SOURCE = "https://doi.org/10.5281/zenodo.8398688 (CC BY 4.0)"
TEST, VALIDATION = (3, 7, 11, 15, 19, 23), (4, 8, 12)  # subjects
GRAVITY = 9.81  # m/s²

file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
if not file.exists():
    sys.exit(f"{file}: no such file; make windows of the recordings from {SOURCE}, see README.md")
raw = np.load(file)
# Acceleration in g and rotation in rad/s: both stay within a few units, so one int8 scale serves all six.
x = raw["x"].astype(np.float32) / np.array([GRAVITY] * 3 + [1.0] * 3, np.float32)
test, validation = np.isin(raw["subject"], TEST), np.isin(raw["subject"], VALIDATION)
parts = {"train": ~test & ~validation, "validation": validation, "test": test}
arrays = {f"x_{part}": x[chosen] for part, chosen in parts.items()}
arrays |= {f"y_{part}": raw["y"][chosen] for part, chosen in parts.items()}
np.savez(HERE / "data.npz", labels=raw["labels"], **arrays)
print(", ".join(f"{part} {chosen.sum()} windows" for part, chosen in parts.items()))
