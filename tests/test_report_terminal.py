"""What the verbs print: nothing is cut off in 80 columns, figures are those given, names are never markup."""

import io
import math
import subprocess
import sys

import pytest
from rich.console import Console, RenderableType

from lilliput.report import Report, terminal, units
from lilliput.report.data import LayerJson, SqnrRow
from report_sample import sample_profile, sample_report, sample_validation


def test_tables_wait_for_neither_numpy_nor_templates() -> None:
    code = "import sys, lilliput.report.terminal; print({'numpy', 'jinja2', 'torch'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


@pytest.fixture(scope="module")
def report() -> Report:
    return sample_report()


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (units.count(1_234_567), "1.23 M"),
        (units.count(999), "999"),
        (units.count(999_950), "1.00 M"),
        (units.count(0), "0"),
        (units.size(12_595), "12.3 KiB"),
        (units.size(65_536), "64 KiB"),
        (units.size(-3_256), "-3.18 KiB"),
        (units.size(1023), "1,023 B"),
        (units.percent(0.98914), "98.91 %"),
        (units.duration((0.0123, 0.0181)), "12.3–18.1 ms"),
        (units.duration((0.9, 1.2)), "0.900–1.20 s"),
        (units.energy((4e-4, 5e-4)), "400–500 µJ"),
        (units.duration(None), "–"),
        (units.count_range((2_100_000, 2_600_000)), "2.10–2.60 M"),
        (units.clock(168e6), "168 MHz"),
        (units.clock(None), "–"),
        (units.energy((5e-7, 5e-7)), "500 nJ"),
        (units.count_range((5, 5)), "5"),
        (units.count_range(None), "–"),
        (units.decibel(math.inf), "exact"),
    ],
)
def test_numbers_for_people(shown: str, expected: str) -> None:
    assert shown == expected


def _shown(view: RenderableType, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(view)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(len(line) <= width for line in text.splitlines())
    assert "…" not in text
    return text


def test_profile_reads_well_in_80_columns(report: Report) -> None:
    assert report.profile is not None
    text = _shown(terminal.profile_view(report.profile))
    for layer in report.profile["layers"]:
        assert layer["name"] in text
        assert units.count(layer["instructions"]) in text
    assert f"{report.profile['instructions']:,}" in text
    assert "estimate" in text
    for part in (*report.profile["flash"].values(), *report.profile["ram"].values()):
        assert units.size(part) in text


def test_long_names_are_broken_at_dots_and_never_cut() -> None:
    name = "features.12.inverted_residual.conv.0.depthwise_convolution"
    layer: LayerJson = {
        "name": name,
        "op": "depthwise_conv2d",
        "kernel": "conv_s8_dsp",
        "macs": 10,
        "instructions": 9,
    }
    lines = _shown(terminal.profile_view({**sample_profile(), "layers": [layer]})).splitlines()
    pieces = [line.split(" ")[0] for line in lines[lines.index(next(x for x in lines if "───" in x)) + 1 :]]
    assert "".join(pieces) == name
    assert all(piece[-1] in "._" for piece in pieces if piece and not name.endswith(piece))


def test_markup_in_names_is_text() -> None:
    rows = (SqnrRow("[red]a[/red]", "[/]", 30.0),)
    assert "[red]a[/red]" in _shown(terminal.quantization_view(rows))


def test_other_views_read_well_in_80_columns(report: Report) -> None:
    assert report.accuracy and report.classification and report.quantization and report.pruning  # noqa: PT018
    assert "98.90 %" in _shown(terminal.accuracy_view(report.accuracy))
    assert "macro average" in _shown(terminal.classification_view(report.classification))
    quantization = _shown(terminal.quantization_view(report.quantization))
    assert [quantization.count(f"worst {i}") for i in (1, 2, 3, 4)] == [1, 1, 1, 0]
    assert "12,866" in _shown(terminal.pruning_view(report.pruning))


def test_validation_says_where_it_differs(report: Report) -> None:
    assert "✓" in _shown(terminal.validation_view(sample_validation()))
    failed = sample_validation() | {
        "bit_exact": False,
        "first_difference": {"layer": "stem.conv", "expected": 3, "found": 4},
    }
    text = _shown(terminal.validation_view(failed))  # type: ignore[arg-type]
    assert "✗" in text
    assert "layer stem.conv, expected 3, found 4" in text


def test_no_run_no_figure() -> None:
    profile = sample_profile()
    layers = [{**layer, "instructions": None} for layer in profile["layers"]]
    bare = {
        **profile,
        "instructions": None,
        "instructions_range": None,
        "cycles_estimate": None,
        "layers": layers,
    }
    text = _shown(terminal.profile_view(bare))  # type: ignore[arg-type]
    assert "not measured" in text
    assert "estimate" not in text
