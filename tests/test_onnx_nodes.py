"""ONNX's own node tests, every one that fits, through the generated C; `onnx_not_passing.txt` names the others.

After a change: `python tests/test_onnx_nodes.py` writes that list anew, for review.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from batch import core_batch
from lilliput.target import load_target
from onnx_nodes import agrees, names, planned, results

LIST = Path(__file__).parent / "onnx_not_passing.txt"
GOAL = 500
PARTS = 8
CORE_PARTS = 12


@cache
def listed() -> dict[str, str]:
    """Case -> reason."""
    lines = (line for line in LIST.read_text().splitlines() if line and not line.startswith("#"))
    return {name: reason for name, _, reason in (line.partition(": ") for line in lines)}


def expected() -> list[str]:
    return [name for name in names() if name not in listed()]


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_node_cases_in_c(part: int) -> None:
    """A case that is not listed passes; a listed one does not, or it comes off the list."""
    outcome = results(names()[part::PARTS])
    failing = {name: reason for name, reason in outcome.items() if reason is not None}
    assert {k: v for k, v in failing.items() if k not in listed()} == {}
    assert [name for name in outcome if name in listed() and name not in failing] == [], "these pass now"


def test_the_list_is_about_cases_that_exist() -> None:
    assert set(listed()) <= set(names())
    assert all(listed().values()), "every case has its reason"
    assert len(expected()) >= GOAL


@pytest.mark.cross
@pytest.mark.parametrize("part", range(CORE_PARTS))
def test_node_cases_on_a_core(part: int) -> None:
    """The same on an emulated Cortex-M4, many cases in one firmware."""
    pairs = [planned(name) for name in expected()[part::CORE_PARTS]]
    batch = core_batch([case for _, case in pairs], load_target("cortex-m4"))
    wrong = []
    for i, (case, _) in enumerate(pairs):
        found = batch.run(i, {name: np.asarray(value) for name, value in case.feed.items()})
        wrong += [case.name for name, value in case.expected.items() if not agrees(value, found[name])]
    assert wrong == []


def _short(reason: str) -> str:
    """Without the list of what is supported."""
    return reason.splitlines()[0].split(" Supported: ")[0].split(" (supported: ")[0]


if __name__ == "__main__":
    reasons = {name: reason for name, reason in results(names()).items() if reason is not None}
    kept = listed() if LIST.exists() else {}
    lines = [f"{name}: {kept.get(name, _short(reason))}" for name, reason in sorted(reasons.items())]
    head = "# ONNX node tests (without _expanded) of types that exist here and do not pass, each with its reason.\n"
    LIST.write_text(head + "\n".join(lines) + "\n")
    print(f"{len(names()) - len(reasons)} of {len(names())} pass")
