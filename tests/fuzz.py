"""Coverage-guided fuzzing of the importers: any bytes give a graph or a UserError, within 2 s and 512 MB.

    .venv/bin/python tests/fuzz.py onnx --seconds 600

Starts from `tests/corpus/FORMAT`, the inputs that were worth keeping, and writes new ones only where --keep says.
Half of the changes are made to what the file says (see `mutate.py`), the others to its bytes.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parent))

with atheris.instrument_imports(include=["lilliput"]):
    from lilliput import store
    from lilliput.errors import GraphError, UserError
    from lilliput.graph import Graph
    from lilliput.importers.keras import load_keras
    from lilliput.importers.keras.registry import keras_converters
    from lilliput.importers.onnx import load_onnx
    from lilliput.importers.registry import onnx_converters, tflite_converters
    from lilliput.importers.sklearn.registry import converters as sklearn_converters
    from lilliput.importers.sklearn.skops_file import load_skops
    from lilliput.importers.tflite import load_tflite
    from lilliput.passes import simplify

    onnx_converters(), tflite_converters(), keras_converters(), sklearn_converters()  # loads them

import mutate

CORPUS = Path(__file__).parent / "corpus"
SECONDS = 2.0
MEGABYTES = 512
"""Beyond what the process takes before it reads anything."""
LONGEST = 8192


def from_file(suffix: str, read: Callable[[Path], Graph]) -> Callable[[bytes], Graph]:
    """A reader of paths as one of bytes."""

    def load(data: bytes) -> Graph:
        with tempfile.NamedTemporaryFile(suffix=suffix) as file:
            file.write(data)
            file.flush()
            return read(Path(file.name))

    return load


FORMATS: dict[str, tuple[Callable[[bytes], Graph], mutate.Mutator]] = {
    "lil": (from_file(".lil", store.load), mutate.zipped),
    "onnx": (load_onnx, mutate.onnx_model),
    "tflite": (load_tflite, mutate.words),
    "keras": (load_keras, mutate.zipped),
    "skops": (from_file(".skops", load_skops), mutate.zipped),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("format", choices=FORMATS)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--keep", type=Path, help="folder for new inputs that reach new code")
    parser.add_argument("--seeds", type=Path, help="a further folder of inputs to start from")
    parser.add_argument("--found", default="./", help="where inputs that break something go, as a prefix")
    chosen = parser.parse_args()
    read, mutator = FORMATS[chosen.format]
    if chosen.format == "skops":
        import sklearn.utils.discovery

        sklearn.utils.discovery.all_estimators()  # imports every module
    warnings.simplefilter("ignore")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

    def one(data: bytes) -> None:
        start = time.process_time()  # of this process: others may be at work beside it
        try:
            simplify(read(data))
        except (UserError, GraphError):
            return
        finally:
            spent = time.process_time() - start
            if spent > SECONDS:
                raise RuntimeError(f"{len(data)} bytes took {spent:.1f} s")

    def change(data: bytes, most: int, seed: int) -> bytes:
        return mutate.changed(mutator, data, most, seed, atheris.Mutate)

    new = chosen.keep or Path(tempfile.mkdtemp(prefix="fuzz-"))  # libFuzzer writes into the first folder
    new.mkdir(parents=True, exist_ok=True)
    folders = [str(f) for f in (new, CORPUS / chosen.format, chosen.seeds) if f is not None]
    limits = [
        f"-max_total_time={chosen.seconds}",
        f"-rss_limit_mb={before + MEGABYTES}",
        "-timeout=20",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={chosen.found}",
        "-report_slow_units=60",  # by the wall clock, which others slow down
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *limits, *folders], one, custom_mutator=change)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
