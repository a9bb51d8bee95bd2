"""Cepstra of spoken words into data.npz: no speaker is in more than one of its three parts.

    python prepare.py [kws12_mfcc49x10_int8.npz]

The test list of Google Speech Commands v0.02 (Warden, 2018), CC BY 4.0: 4,890 seconds of sound, 12 classes.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
FILE = HERE / "../../../shared/data/speech_commands/kws12_mfcc49x10_int8.npz"
SOURCE = "https://doi.org/10.48550/arXiv.1804.03209 (CC BY 4.0)"

file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
if not file.exists():
    sys.exit(f"{file}: no such file; compute the cepstra of the recordings from {SOURCE}, see README.md")
raw = np.load(file)


def share(speaker: str) -> int:
    """A percentage that depends on the name alone, as the test part of the file does."""
    return int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 100


# The cepstra are int8 as the device's own front end gives them: bytes for the tool, byte - 128 for the network.
x = (raw["x"].astype(np.int16) + 128).astype(np.uint8)
test = raw["is_test"]
validation = ~test & np.array([share(s) < 35 for s in raw["speaker"]])
parts = {"train": ~test & ~validation, "validation": validation, "test": test}
rng = np.random.default_rng(0)
arrays = {"labels": raw["labels"]}
for part, chosen in parts.items():
    # The file is sorted by word: shuffled, the first thousand of a part stand for all of it.
    index = rng.permutation(np.flatnonzero(chosen))
    arrays |= {f"x_{part}": x[index], f"y_{part}": raw["y"][index]}
np.savez(HERE / "data.npz", **arrays)
print(", ".join(f"{part} {chosen.sum()} words" for part, chosen in parts.items()))
