"""Heart beats of the MIT-BIH Arrhythmia Database into data.npz: no patient is in more than one of its three parts.

    python prepare.py [mitbih_beats_180hz.npz]

Normal beats (N) and premature ventricular contractions (V); inter-patient split of de Chazal et al. (2004). ODC-By 1.0.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
FILE = HERE / "../../../shared/data/ecg_mitbih/mitbih_beats_180hz.npz"
SOURCE = "https://physionet.org/content/mitdb/1.0.0 (ODC-By 1.0)"
VALIDATION = (106, 114, 203, 223)  # records of the training half
NORMAL, VENTRICULAR = 0, 2  # AAMI classes N and V

file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
if not file.exists():
    sys.exit(f"{file}: no such file; cut the beats out of the records from {SOURCE}, see README.md")
raw = np.load(file)
y, record, half = raw["y"], raw["record"], raw["ds"]


def rhythm() -> np.ndarray:
    """[beats, 2]: the intervals before and after a beat over the mean of the last ten, less one, times two.

    A ventricular beat comes early, and a pause follows it: about -0.6 and +0.8 where a normal beat has 0.
    """
    before, after = np.clip(raw["rr_prev_next_s"].T, 0.2, 3.0)
    mean = np.empty_like(before)
    for name in np.unique(record):
        index = np.flatnonzero(record == name)
        total = np.concatenate([[0.0], np.cumsum(before[index], dtype=np.float64)])
        last = np.arange(1, len(index) + 1)
        first = np.maximum(0, last - 10)
        mean[index] = (total[last] - total[first]) / (last - first)
    return 2 * (np.stack([before, after], axis=1) / mean[:, None] - 1)


chosen = np.isin(y, (NORMAL, VENTRICULAR))
validation = np.isin(record, VALIDATION)
parts = {
    "train": chosen & (half == 1) & ~validation,
    "validation": chosen & (half == 1) & validation,
    "test": chosen & (half == 2),
}
ratios = rhythm().astype(np.float32)
rng = np.random.default_rng(0)
arrays = {"labels": np.array(["N", "V"])}
for part, mask in parts.items():
    # The order of a record is that of time: shuffled, any part of a part has all patients in it.
    index = rng.permutation(np.flatnonzero(mask))
    potential = raw["x_uV"][index].astype(np.float32) / 1000  # millivolt
    around = np.broadcast_to(ratios[index][:, None, :], (*potential.shape, 2))
    arrays[f"x_{part}"] = np.concatenate([potential[:, :, None], around], axis=2)  # [beats, steps, 3]
    arrays[f"y_{part}"] = (y[index] == VENTRICULAR).astype(np.uint8)
    print(f"{part}: {len(index)} beats, {arrays[f'y_{part}'].sum()} of them V")
np.savez(HERE / "data.npz", **arrays)
