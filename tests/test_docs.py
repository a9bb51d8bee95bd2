"""The documents: tables equal the registry and the benchmark, excerpts equal the source, links lead somewhere.

`python tests/test_docs.py` writes the tables into both READMEs and docs/operators.md.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lilliput.cli.inspect import ops
from lilliput.supported import TYPES, accepted, supported, types_text

ROOT = Path(__file__).parents[1]
READMES = [ROOT / "README.md", ROOT / "README.zh.md"]
OPERATORS = ROOT / "docs" / "operators.md"
PAGES = [*READMES, *sorted((ROOT / "docs").glob("*.md"))]
COMPARED = tuple((name, mode) for name in ("kws", "ic", "vww") for mode in ("speed", "ram"))
Rows = list[str]


@functools.cache
def families() -> Rows:
    """A row per family: how many operators and kernels it has, their types, and the operators' names."""
    rows = []
    for family, members in itertools.groupby(supported(), key=lambda row: row["family"]):
        ops = list(members)
        types = types_text(sorted({t for row in ops for t in row["dtypes"]}, key=TYPES.index))
        kernels = {kernel["name"] for row in ops for kernel in row["kernels"]}
        names = ", ".join(f"`{row['op']}`" for row in ops)
        rows.append(f"| {family} | {len(ops)} | {len(kernels)} | {types} | {names} |")
    return rows


FORMATS = {
    "onnx": "ONNX",
    "tflite": "TensorFlow Lite",
    "torch": "PyTorch",
    "keras": "Keras",
    "sklearn": "scikit-learn, XGBoost, LightGBM",
}


def foreign() -> Rows:
    """A row per format that is read: how many of its operators, and their names."""
    return [
        f"| {FORMATS[source]} | {len(names)} | `{', '.join(names)}` |" for source, names in accepted().items()
    ]


@functools.cache
def operators() -> Rows:
    """The rows of `lilliput ops --markdown`, without the heading, which each language has for itself."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        ops(markdown=True)
    return printed.getvalue().splitlines()[2:]


def comparison() -> Rows:
    """The rows of docs/bench.md that the READMEs show."""
    lines = (ROOT / "docs" / "bench.md").read_text(encoding="utf-8").splitlines()
    return [
        line
        for line in lines
        if line.startswith(tuple(f"| {name} | cortex-m4 | {mode} |" for name, mode in COMPARED))
    ]


TABLES: dict[str, tuple[Callable[[], Rows], list[Path]]] = {
    "families": (families, READMES),
    "accepted": (foreign, READMES),
    "bench": (comparison, READMES),
    "ops": (operators, [OPERATORS]),
}


def parts(text: str, name: str) -> tuple[str, Rows, str]:
    """Up to and with the heading of the table between the markers of `name`; its rows; the rest."""
    before, rest = text.split(f"<!-- {name} -->\n")
    table, after = rest.split(f"<!-- /{name} -->")
    lines = table.splitlines()
    heading = "\n".join(lines[:2])
    return f"{before}<!-- {name} -->\n{heading}\n", lines[2:], f"<!-- /{name} -->{after}"


@pytest.mark.parametrize(
    ("name", "page"),
    [(name, page) for name, (_, pages) in TABLES.items() for page in pages],
    ids=lambda v: getattr(v, "name", v),
)
def test_tables_are_current(page: Path, name: str) -> None:
    _, found, _ = parts(page.read_text(encoding="utf-8"), name)
    assert found == TABLES[name][0](), "run `python tests/test_docs.py`, which writes the tables"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_relative_links_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith(("http", "#"))]
    missing = [link for link in links if not (page.parent / link.partition("#")[0]).exists()]
    assert missing == []
    assert links or page not in READMES, "no link was found at all"


def test_excerpts_are_the_source() -> None:
    """A code block that begins with a file's path holds pieces of that file, between lines of one ellipsis."""
    text = (ROOT / "docs" / "add-an-operator.md").read_text(encoding="utf-8")
    excerpts = re.findall(r"```\w+\n(?:# |/\* )([\w/.]+\.(?:py|c))(?: \*/)?\n(.*?)```", text, re.DOTALL)
    assert len(excerpts) >= 8
    for path, body in excerpts:
        source = (ROOT / path).read_text(encoding="utf-8")
        for piece in body.split("…\n"):
            assert piece in source, f"{path} has no longer:\n{piece}"


@pytest.mark.slow
@pytest.mark.parametrize("page", READMES, ids=lambda p: p.name)
def test_the_python_example_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It prints what the page shows, but for figures that follow the random weights of another torch."""
    match = re.search(r"```python\n(.*?)```\s+```text\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert match is not None
    monkeypatch.chdir(tmp_path)
    exec(compile(match[1], page.name, "exec"), {})
    printed, shown = (re.sub(r"-?\d+|\s", "", text) for text in (capsys.readouterr().out, match[2]))
    assert printed == shown


def write() -> None:
    """Put the current tables into the pages that show them."""
    for name, (rows, pages) in TABLES.items():
        for page in pages:
            head, _, tail = parts(page.read_text(encoding="utf-8"), name)
            page.write_text(head + "".join(f"{row}\n" for row in rows()) + tail, encoding="utf-8")


if __name__ == "__main__":
    write()
