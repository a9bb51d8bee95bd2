"""`make bench`: every performance claim of the project in one run: docs/bench.md, docs/bench.json, docs/results.md.

Instructions are exact counts of the shipped ELF on the emulated core; times are ratios or medians: machines are noisy.
build/bench.json has all of it; docs/bench.json is the record that tests compare with (tests/test_bench.py). A run of a
part, which options choose, prints and writes nothing; only the classical models may be left out.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
from pathlib import Path

from bench_classical import classical_rows
from bench_classical_models import model_rows
from bench_goals import checks
from bench_layers import STEPS, bench_layers, by_step, by_type
from bench_models import MODES, ROOT, bench_models, installed, models
from bench_peers import HEAD
from bench_peers import Row as Peers
from bench_record import RECORD, as_record, read, worse
from bench_text import markdown, table
from bench_tool import bench_tool


def bench_training(pairs: int = 7) -> dict[str, float]:
    """Time of our loop over a bare one with the same model and batches: the median ratio of interleaved pairs."""
    from lilliput.train.overhead import measure

    ratios = measure(pairs)
    return {"pairs": pairs, "median_ratio": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def bench_peers(keep: str) -> list[Peers]:
    """Classical models against emlearn and m2cgen."""
    return [*classical_rows(keep=keep), *model_rows(keep=keep)]


def peers_text(rows: list[Peers]) -> str:
    """The table for docs/results.md, and how often we lose."""
    lost = {mode: [r for r in rows if r.mode == mode and what in r.worse] for mode, what in ASKED.items()}
    each = len(rows) // 2
    verdict = (
        f"Asked for speed, {each - len(lost['speed'])} of {each} take no more instructions than the peer's fastest "
        f"build; asked for size, {each - len(lost['size'])} of {each} take no more flash than its smallest."
    )
    names = ", ".join(f"{r.data} {r.model} against {r.peer} ({r.mode})" for rs in lost.values() for r in rs)
    verdict += f" Lost: {names}." if names else ""
    return "\n".join([verdict, "", HEAD, *(row.markdown() for row in rows), ""])


ASKED = {"speed": "instructions", "size": "flash"}


def put(path: Path, name: str, text: str) -> None:
    """Replace what stands between the marks of `name`."""
    before, rest = path.read_text(encoding="utf-8").split(f"<!-- {name} -->\n")
    _, after = rest.split(f"<!-- /{name} -->")
    path.write_text(f"{before}<!-- {name} -->\n{text}<!-- /{name} -->{after}", encoding="utf-8")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    cores = installed()
    parser.add_argument("--targets", nargs="*", default=cores, choices=cores)
    parser.add_argument("--modes", nargs="*", default=MODES, choices=MODES)
    parser.add_argument("--models", nargs="*", help="names; default: all")
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--peers", default="", help="REGEX of data and name of classical models")
    return parser.parse_args()


PARTS = ("models", "layers", "types", "tool", "training", "classical")


def whole(options: argparse.Namespace) -> bool:
    """Whether docs/bench.md would miss nothing: only then is anything written."""
    all_here = set(installed()) == set(options.targets) and set(MODES) == set(options.modes)
    return all_here and not options.models and set(PARTS) - set(options.parts) <= {"classical"}


def run(options: argparse.Namespace) -> None:
    parts = options.parts
    peers = (
        bench_peers(options.peers) if "classical" in parts else []
    )  # first: it needs packages that may be missing
    training = bench_training() if "training" in parts else None
    tool = bench_tool() if "tool" in parts else None
    found = [m for m in models() if options.models is None or m.name in options.models]
    rows = bench_models(options.targets, options.modes, found) if "models" in parts else []
    layers = bench_layers(options.targets) if "layers" in parts else []
    goals = list(checks(found, rows, layers))
    types: dict[str, list[str]] = {}
    if "types" in parts:
        types = {"Types of numbers": by_type(), f"Recurrent layers, sequences of {STEPS} steps": by_step()}
    text = markdown(found, rows, layers, goals, types, tool, training)
    compared = peers_text(peers) if peers else ""
    print(text, compared, sep="\n")
    record, recorded = as_record(rows, layers), read()
    if lost := list(worse(record, recorded)):
        print("\nWorse than the record:", *table("what|>recorded|>now", lost), sep="\n", file=sys.stderr)
    if not whole(options):
        return
    facts = {
        "models": [dataclasses.asdict(row) for row in rows],
        "layers": [dataclasses.asdict(row) for row in layers],
        "goals": [{**dataclasses.asdict(check), "met": check.met} for check in goals],
        "tables": types,
        "training": training,
        "tool": tool,
        "peers": [dataclasses.asdict(row) for row in peers],
    }
    (ROOT / "build").mkdir(exist_ok=True)
    (ROOT / "build" / "bench.json").write_text(json.dumps(facts, indent=1))
    (ROOT / "docs" / "bench.md").write_text(text)
    RECORD.write_text(record.beside(recorded, options.targets).text())
    if peers and not options.peers:
        put(ROOT / "docs" / "results.md", "classical", compared)


if __name__ == "__main__":
    run(arguments())
