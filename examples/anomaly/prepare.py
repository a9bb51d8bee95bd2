"""Two hours of a machine's temperature at a time into data.npz: which of them belong to a failure?

    python prepare.py [folder with machine_temperature_system_failure.csv and combined_windows.json]

Numenta Anomaly Benchmark, https://github.com/numenta/NAB, MIT licence.
"""

import csv
import json
import sys
from datetime import datetime
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[2] / "shared/data/nab_mit"
SOURCE = "https://github.com/numenta/NAB (MIT): data/realKnownCause and labels"
NAME = "machine_temperature_system_failure.csv"
STEPS = 24  # of five minutes
PROBATION = 0.15  # share of the recording to learn from, as the benchmark has it
VALIDATION = 600  # windows, the last ones before the first failure

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
if not (folder / NAME).exists():
    sys.exit(f"{folder}: no {NAME} in it; get it and combined_windows.json from {SOURCE}")
with (folder / NAME).open(newline="") as file:
    rows = list(csv.reader(file))[1:]
times = [datetime.fromisoformat(time) for time, _ in rows]
x = np.array([float(value) for _, value in rows], np.float32)
failures = json.loads((folder / "combined_windows.json").read_text())[f"realKnownCause/{NAME}"]
spans = [[datetime.fromisoformat(end.split(".")[0]) for end in span] for span in failures]
y = np.array([any(begin <= time <= end for begin, end in spans) for time in times], np.uint8)

x, y = np.lib.stride_tricks.sliding_window_view(x, STEPS)[..., None], y[STEPS - 1 :]  # (N, STEPS, 1)
probation, failure = round(PROBATION * len(x)), int(y.argmax())
begin = failure - VALIDATION
learn = np.flatnonzero(y[:probation] == 0)
learn = learn[(learn < begin - STEPS) | (learn >= failure + STEPS)]  # no value in two parts
np.savez(
    HERE / "data.npz",
    x_train=x[learn],
    y_train=y[learn],
    x_validation=x[begin:failure],
    y_validation=y[begin:failure],
    x_test=x[probation + STEPS :],
    y_test=y[probation + STEPS :],
    labels=["normal", "failure"],
)
print(f"train {len(learn)} windows, validation {VALIDATION}, test {len(x) - probation - STEPS}")
