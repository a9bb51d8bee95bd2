"""An hour of temperature, humidity and CO2 at a time into data.npz: was somebody in the room at its end?

    python prepare.py [folder with datatraining.txt, datatest.txt, datatest2.txt]

Occupancy Detection (Candanedo and Feldheim, Energy and Buildings 2016), UCI repository, CC BY 4.0.
"""

import csv
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[2] / "shared/data/occupancy"
SOURCE = "https://archive.ics.uci.edu/dataset/357/occupancy+detection (CC BY 4.0)"
SENSORS = ("Temperature", "Humidity", "CO2")  # no light: the lamp would give it away
MINUTES = 60

folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
if not (folder / "datatraining.txt").exists():
    sys.exit(f"{folder}: no datatraining.txt in it; get the three files from {SOURCE}")


def windows(name: str) -> tuple[np.ndarray, np.ndarray]:
    """(N, MINUTES, sensors), one for every minute, and who was there in the last one."""
    with (folder / name).open(newline="") as file:
        header, *rows = csv.reader(file)
    # Counted from the end: two of the headers leave out the number that rows begin with.
    column = {key: header.index(key) - len(header) for key in (*SENSORS, "Occupancy")}
    x = np.array([[float(row[column[key]]) for key in SENSORS] for row in rows], np.float32)
    y = np.array([int(row[column["Occupancy"]]) for row in rows])
    return np.lib.stride_tricks.sliding_window_view(x, MINUTES, axis=0).swapaxes(1, 2), y[MINUTES - 1 :]


x, y = windows("datatraining.txt")
tests = [windows(name) for name in ("datatest.txt", "datatest2.txt")]
np.savez(
    HERE / "data.npz",
    x_train=x,
    y_train=y,
    x_test=np.concatenate([x for x, _ in tests]),
    y_test=np.concatenate([y for _, y in tests]),
    labels=["empty", "occupied"],
    first_file=len(tests[0][1]),
)
print(f"train {len(x)} windows, test {' + '.join(str(len(y)) for _, y in tests)}")
