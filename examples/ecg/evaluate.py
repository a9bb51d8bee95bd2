"""The area under the ROC curve of the built model: in float32, of the C on this machine, and on the emulated core.

python evaluate.py build/ecg [beats on the core, 4000 by default]
"""

import sys
from pathlib import Path

import numpy as np

import lilliput
from lilliput.deploy import real_outputs, run_on_core
from lilliput.evaluate import run
from lilliput.train.figures import ranking, roc_auc

folder, beats = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 4000
data = np.load(Path(__file__).resolve().parent / "data.npz")
x, ventricular = data["x_test"], data["y_test"] == 1
firmware = lilliput.open_build(folder)


def show(where: str, outputs: np.ndarray) -> None:
    area = roc_auc(ranking(outputs), ventricular[: len(outputs)])
    print(f"{where:24} ROC AUC {area:.4f} of {len(outputs):,} beats")


show("float32", run(lilliput.load(folder / "ecg-float.lil"), x))
host = firmware.run(x, "host")
show("int8, C on this machine", real_outputs(firmware.graph, host))
core = run_on_core(firmware, x[:beats])[firmware.graph.outputs[0]]
show(f"int8, {firmware.target.name}", real_outputs(firmware.graph, core))
different = int((core != host[: len(core)]).sum())
print(f"{different} of {core.size:,} integers differ between the two")
sys.exit(different > 0)
