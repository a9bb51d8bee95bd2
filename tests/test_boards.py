"""Boards: the data files keep their rules, the ranking is right at its edges, quantities read or refused."""

import dataclasses
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from lilliput.boards import Board, boards, fits_table, load_boards, parse_quantity, rank, recommend
from lilliput.boards.rank import CYCLES_VS_M4
from lilliput.errors import UserError

ROOT = Path(__file__).parents[1]
TARGETS = {path.stem for path in (ROOT / "src/lilliput/targets").glob("*.toml")}


def a_profile(
    target: str = "cortex-m4", flash: int = 30_000, ram: int = 9_000, changes: dict[str, object] | None = None
) -> dict[str, object]:
    profile: dict[str, object] = {
        "target": target,
        "macs": 700_000,
        "instructions": 1_500_000,
        "cycles_estimate": [2_000_000, 2_400_000],
        "flash": {"code": 10_000, "constants": flash - 10_000, "total": flash},
        "ram": {"arena": ram - 500, "stack": 500, "static": 0, "total": ram},
        "layers": [
            {"name": "a", "op": "conv2d", "kernel": "conv_s8", "macs": 700_000, "instructions": 1_500_000}
        ],
    }
    return profile | (changes or {})


def the(name: str) -> Board:
    return next(board for board in load_boards() if board.name == name)


def figures(board: Board) -> dict[str, object]:
    return {field.name: getattr(board, field.name) for field in dataclasses.fields(board)}


def test_there_are_enough_boards_and_each_family_is_there() -> None:
    parts = [board.part for board in load_boards()]
    assert len(parts) >= 32
    stm32 = [
        f"STM32{family}" for family in ("F0", "F1", "F3", "F4", "F7", "H7", "L0", "L4", "G0", "G4", "U5")
    ]
    nxp = ["MKL", "MK64", "LPC55", "MCX", "MIMXRT"]
    others = [
        "PXA270",
        "nRF52832",
        "nRF52840",
        "nRF5340",
        "RP2040",
        "RP2350",
        "ESP32-C3",
        "GD32VF103",
        "CH32V",
    ]
    missing = [
        family for family in stm32 + nxp + others if not any(part.startswith(family) for part in parts)
    ]
    assert missing == []
    assert sum(board.name.startswith("Arduino") for board in load_boards()) >= 5


def test_no_board_twice_and_every_core_has_a_target_and_a_board() -> None:
    names = Counter(board.name for board in load_boards())
    assert [name for name, times in names.items() if times > 1] == []
    assert {board.core for board in load_boards()} == TARGETS == set(CYCLES_VS_M4)


@pytest.mark.parametrize("board", load_boards(), ids=lambda board: board.name)
def test_every_number_cites_its_source(board: Board) -> None:
    cited = [board.clock, board.flash, board.sram, board.sram_total, board.flash_wait_states, board.active]
    for figure in (one for one in cited if one is not None):
        source = figure.source
        assert source.title
        assert source.kind
        assert source.evidence in ("seen", "from-memory")
        # What was seen says where: a page, or a path or table.
        assert source.page or source.at or source.evidence == "from-memory"
        assert source.page is None or source.evidence == "seen"
    bare = [
        name
        for name, value in figures(board).items()
        if isinstance(value, (int, float)) and type(value) is not bool
    ]
    assert bare == []  # a number of a board is always a Figure, with its source


@pytest.mark.parametrize("board", load_boards(), ids=lambda board: board.name)
def test_figures_are_plausible_and_the_target_build_runs_on_it(board: Board) -> None:
    assert 8_000_000 <= board.clock.value <= 1_000_000_000
    assert 16 * 1024 <= board.flash.value <= 256 * 1024**2
    assert 4 * 1024 <= board.sram.value <= board.sram_total.value <= 16 * 1024**2
    # The targets of these cores are built with FPU and DSP (and MVE): a part without them would fault.
    needs = board.core in ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
    assert (board.fpu and board.dsp) or not needs
    assert board.mve == (board.core == "cortex-m55")
    if board.active:
        assert 5 <= board.active.ua_per_mhz <= 1_000
        assert 1 <= board.active.supply_v <= 5


def test_current_given_at_a_clock_scales_with_the_clock() -> None:
    active = the("NUCLEO-H743ZI").active
    assert active is not None
    assert active.watts(400_000_000) == pytest.approx(
        0.105 * 3.3, rel=1e-12
    )  # as the data sheet says, float rounding
    assert active.watts(200_000_000) == pytest.approx(0.105 * 3.3 / 2, rel=1e-12)


def test_exact_fit_fits_and_one_byte_over_does_not() -> None:
    board = the("NUCLEO-F411RE")
    [exact] = rank(a_profile(flash=board.flash.value, ram=board.sram.value), [board])
    assert (exact.fits, exact.flash_free, exact.ram_free) == (True, 0, 0)
    [over] = rank(a_profile(flash=board.flash.value + 1, ram=board.sram.value + 1), [board])
    assert (over.fits, over.flash_free, over.ram_free) == (False, -1, -1)
    assert over.misses == ("flash is 1 bytes short", "RAM is 1 bytes short")


def test_budgets_cap_the_memory_of_the_board() -> None:
    board = the("NUCLEO-F411RE")
    [exact] = rank(a_profile(), [board], ram=9_000, flash=30_000)
    assert (exact.fits, exact.flash_free, exact.ram_free) == (True, 0, 0)
    [over] = rank(a_profile(), [board], ram=8_999)
    assert (over.fits, over.ram_free) == (False, -1)
    [larger] = rank(a_profile(), [board], ram=10**9)
    assert larger.ram_free == board.sram.value - 9_000


def test_latency_and_energy_are_cycles_over_clock_times_power() -> None:
    board = the("NUCLEO-F411RE")
    [fit] = rank(a_profile(), [board])
    assert fit.estimated_from is None
    assert fit.latency_s == (0.02, 0.024)
    # 11.6 mA at 3.6 V for 20 to 24 ms; relative bound: three float products
    assert fit.energy_j == pytest.approx((0.0116 * 3.6 * 0.02, 0.0116 * 3.6 * 0.024), rel=1e-12)


def test_flash_that_waits_costs_every_jump_in_the_upper_figure() -> None:
    board = the("NUCLEO-F411RE")
    assert board.flash_wait_states is not None
    assert board.flash_wait_states.value == 3
    [fit] = rank(a_profile(changes={"jumps": 100_000}), [board])
    assert fit.latency_s == (0.02, 0.027)


def test_a_limit_is_met_by_the_upper_end_only() -> None:
    board = the("NUCLEO-F411RE")
    assert rank(a_profile(), [board], latency_s=0.024)[0].fits
    [late] = rank(a_profile(), [board], latency_s=0.0239)
    assert late.misses == ("latency may reach 0.024 s, the limit is 0.0239 s",)
    assert not rank(a_profile(), [board], energy_j=0.0009)[0].fits
    assert rank(a_profile(), [board], energy_j=0.0011)[0].fits


def test_unknown_power_is_no_energy_and_does_not_meet_an_energy_limit() -> None:
    board = the("NUCLEO-F446RE")
    assert board.active is None
    [fit] = rank(a_profile(), [board], energy_j=1.0)
    assert fit.energy_j is None
    assert "no active current" in fit.misses[0]


def test_another_core_gives_a_wider_range_and_says_so() -> None:
    [same] = rank(a_profile(), [the("NUCLEO-F446RE")])
    [other] = rank(a_profile(), [the("Raspberry Pi Pico")])
    assert same.latency_s
    assert other.latency_s
    assert other.estimated_from == "cortex-m4"
    assert other.latency_s == (2_000_000 * 2.5 / 133e6, 2_400_000 * 5.0 / 133e6)
    assert other.latency_s[1] / other.latency_s[0] > same.latency_s[1] / same.latency_s[0]


def test_from_one_core_to_another_the_range_takes_both_uncertainties() -> None:
    [fit] = rank(a_profile("cortex-m0plus"), [the("NUCLEO-H743ZI")])
    assert fit.latency_s == (2_000_000 * 0.4 / 5.0 / 480e6, 2_400_000 * 1.0 / 2.5 / 480e6)


def test_float_kernels_are_not_scaled_to_another_core() -> None:
    layers = [{"name": "a", "op": "conv2d", "kernel": "conv_f32", "macs": 1, "instructions": 1}]
    [fit] = rank(a_profile(changes={"layers": layers}), [the("Raspberry Pi Pico")], latency_s=1.0)
    assert fit.latency_s is None
    assert "no estimate for this core" in fit.misses[0]
    [same] = rank(a_profile(changes={"layers": layers}), [the("NUCLEO-F411RE")])
    assert same.latency_s == (0.02, 0.024)


def test_a_profile_of_the_boards_own_core_counts() -> None:
    own = a_profile("cortex-m0plus", flash=40_000, changes={"cycles_estimate": [7_000_000, 8_000_000]})
    [fit] = rank(a_profile(), [the("Raspberry Pi Pico")], profiles_by_core={"cortex-m0plus": own})
    assert fit.estimated_from is None
    assert fit.latency_s == (7_000_000 / 133e6, 8_000_000 / 133e6)
    assert fit.flash_free == 2_097_152 - 40_000
    with pytest.raises(UserError, match="is of 'cortex-m4'"):
        rank(a_profile(), load_boards(), profiles_by_core={"cortex-m7": a_profile()})


def test_fits_come_first_smallest_first_then_the_nearest_miss() -> None:
    fits = rank(a_profile(flash=200_000, ram=30_000), load_boards())
    verdicts = [fit.fits for fit in fits]
    assert verdicts == sorted(verdicts, reverse=True)
    assert True in verdicts
    assert False in verdicts
    sizes = [fit.board.flash.value + fit.board.sram.value for fit in fits if fit.fits]
    assert sizes == sorted(sizes)
    short = [max(0, -fit.flash_free) + max(0, -fit.ram_free) for fit in fits if not fit.fits]
    assert short == sorted(short)


def test_recommendation_is_the_smallest_that_meets_the_limits() -> None:
    slow = recommend(rank(a_profile(), load_boards()))
    assert slow.fit is not None
    assert (
        slow.fit.board.name == "Blue Pill"  # CH32V203C8 has the same memory, but a higher clock
    )  # 64 + 20 KB as Blue Pill, and a higher clock: see below
    fast = recommend(rank(a_profile(), load_boards(), latency_s=0.015))
    assert fast.fit is not None
    assert fast.fit.board.name == "NUCLEO-G431RB"
    none = recommend(rank(a_profile(ram=10**9), load_boards()))
    assert none.fit is None
    assert "no board fits; the nearest is" in none.reason
    assert "bytes short" in none.reason
    assert recommend([]).fit is None


def test_json_is_json_and_marks_one_board() -> None:
    result = json.loads(json.dumps(boards(a_profile(), latency="15ms", ram="32k", flash="1M")))
    assert result["recommended"] == "NUCLEO-G431RB"
    assert [row["name"] for row in result["boards"] if row["recommended"]] == ["NUCLEO-G431RB"]
    row = result["boards"][0]
    assert {
        "name",
        "core",
        "clock",
        "flash",
        "sram",
        "fits",
        "flash_free",
        "ram_free",
        "latency",
        "energy",
    } <= set(row)
    assert all(set(row["sources"]) >= {"clock", "flash", "sram"} for row in result["boards"])


def test_table_stays_within_80_columns() -> None:
    out = io.StringIO()
    fits = rank(a_profile(flash=200_000, ram=30_000), load_boards())
    Console(file=out, width=80).print(fits_table(fits))
    lines = out.getvalue().splitlines()
    assert max(len(line) for line in lines) <= 80
    text = "\n".join(lines)
    assert "NUCLEO-F411RE" in text
    assert "…" not in text  # nothing is cut
    assert "and 33 more" in _printed(fits_table(fits, most=len(fits) - 33))


def _printed(table: object) -> str:
    out = io.StringIO()
    Console(file=out, width=80).print(table)
    return out.getvalue()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "avr"}, "target is 'avr'"),
        ({"cycles_estimate": None}, "cycles_estimate is None"),
        ({"cycles_estimate": [3, 2]}, "0 < low <= high"),
        ({"flash": {"code": 1}}, "flash.total is None"),
        ({"ram": {"total": -1}}, "ram.total is -1"),
        ({"layers": None}, "layers is not a list"),
    ],
)
def test_a_broken_profile_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        rank(a_profile(changes=changes), load_boards())


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("20ms", "time", 0.02),
        ("1.5 s", "time", 1.5),
        ("500µs", "time", 0.0005),
        ("500us", "time", 0.0005),
        ("20k", "bytes", 20 * 1024),
        ("20K", "bytes", 20 * 1024),
        ("1.5KiB", "bytes", 1536),
        ("2MB", "bytes", 2 * 1024**2),
        ("4096", "bytes", 4096),
        ("1mJ", "energy", 0.001),
        (".5uJ", "energy", 5e-7),
    ],
)
def test_quantities(text: str, kind: str, value: float) -> None:
    assert parse_quantity(text, kind, "--x") == pytest.approx(value, rel=1e-12)  # one float product


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("fast", "time", "not a positive number"),
        ("-3ms", "time", "not a positive number"),
        ("", "time", "not a positive number"),
        ("1e3ms", "time", "unit 'e|not a positive number"),
        ("nan", "time", "not a positive number"),
        ("20", "time", "has no unit; expected one of s, ms"),
        ("20msec", "time", "unit 'msec'.*did you mean 'ms'"),
        ("20ms", "bytes", "unit"),
        ("0ms", "time", "more than zero"),
        ("0", "bytes", "more than zero"),
        ("0.3", "bytes", "whole number of bytes"),
        ("20k", "energy", "expected one of J, mJ"),
    ],
)
def test_bad_quantities_say_what_is_wrong(text: str, kind: str, message: str) -> None:
    with pytest.raises(UserError, match=f"--limit: .*({message})"):
        parse_quantity(text, kind, "--limit")


GOOD = """
[documents.d]
title = "A data sheet"
kind = "data sheet"
evidence = "from-memory"
[[boards]]
name = "X"
part = "X1"
vendor = "V"
core = "cortex-m4"
fpu = true
dsp = true
mve = false
clock_hz = { value = 1000000, doc = "d" }
flash = { value = 1000, doc = "d" }
sram = { value = 1000, doc = "d" }
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('core = "cortex-m4"', 'core = "avr"', "boards.0.core"),
        ("value = 1000000, ", "", "clock_hz.value"),
        ('clock_hz = { value = 1000000, doc = "d" }', "clock_hz = 1000000", "clock_hz"),
        ('{ value = 1000000, doc = "d" }', '{ value = 1000000, doc = "e" }', "cites 'e'; known documents: d"),
        (
            '{ value = 1000000, doc = "d" }',
            '{ value = 1000000, doc = "d", page = 3 }',
            "page of a document .* not seen",
        ),
        ("mve = false", "mve = false\ncolour = 1", "boards.0.colour"),
        (
            "mve = false",
            'mve = false\nsram_total = { value = 1, doc = "d" }',
            "sram_total 1 is less than sram 1000",
        ),
        (
            "mve = false",
            'mve = false\nactive = { supply_v = 3.0, condition = "c", doc = "d" }',
            "ma and at_hz",
        ),
        (
            "[documents.d]",
            '[documents.e]\ntitle="E"\nkind="k"\nevidence="seen"\n[documents.d]',
            "nothing cites: e",
        ),
        ("[[boards]]", "[[boards]", "not readable as TOML"),
    ],
)
def test_a_bad_data_file_is_refused_by_name(tmp_path: Path, old: str, new: str, message: str) -> None:
    (tmp_path / "good.toml").write_text(GOOD)
    assert [board.name for board in load_boards(tmp_path)] == ["X"]
    load_boards.cache_clear()
    (tmp_path / "good.toml").unlink()
    assert old in GOOD
    (tmp_path / "bad.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(UserError, match=f"bad.toml: .*{message}"):
        load_boards(tmp_path)


def test_the_same_board_in_two_files_and_no_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no board data"):
        load_boards(tmp_path)
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD)
    with pytest.raises(UserError, match=r"b\.toml: board 'X' is already in a\.toml"):
        load_boards(tmp_path)
