"""How often the compiled model is right, on each of the two test files: before and after the training days.

python evaluate.py ../../build/occupancy
"""

import sys
from pathlib import Path

import numpy as np

import lilliput

data = np.load(Path(__file__).resolve().parent / "data.npz")
firmware = lilliput.open_build(sys.argv[1])
right = firmware.run(data["x_test"], on="host").reshape(-1) == data["y_test"]
first = int(data["first_file"])
for name, y, found in (
    ("datatest.txt", data["y_test"][:first], right[:first]),
    ("datatest2.txt", data["y_test"][first:], right[first:]),
):
    print(f"{name}: {found.mean():.2%} of {len(y):,} right; always 'empty' is right in {(y == 0).mean():.2%}")
