"""Layers that run row by row: every range of random image networks, on the host and on a core, and what is refused."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from pathlib import Path

import numpy as np
import pytest

from batch import Case, host_differences, host_models
from cli_tools import lilliput, refused
from lilliput import store
from lilliput.errors import UserError
from lilliput.firmware import compile, open_build
from lilliput.graph import Graph
from lilliput.host import FEATURES
from lilliput.ops.binary import Add
from lilliput.ops.conv import Conv2d, DepthwiseConv2d
from lilliput.ops.pool import MaxPool2d
from lilliput.ops.reduce import Mean
from lilliput.ops.unary import Clamp, Sigmoid
from lilliput.plan import Plan, choose, plan
from small_graphs import Builder, int8
from test_plan import assert_sound, ladder


def image_net(seed: int) -> Graph:
    """A random network of convolutions, pools, functions and residuals on one image."""
    rng = np.random.default_rng(seed)
    b = Builder(np.random.default_rng(seed))
    channels = int(rng.choice([1, 2, 3, 4, 6]))
    x = b.input(1, int(rng.integers(5, 14)), int(rng.integers(3, 10)), channels)
    earlier: list[str] = []
    for i in range(int(rng.integers(3, 9))):
        earlier.append(x)
        x = grow(b, rng, x, earlier, f"l{i}")
    return int8(b.graph(x) if rng.random() < 0.5 else b.graph(b.add(Mean((1, 2)), x)))


def grow(b: Builder, rng: np.random.Generator, x: str, earlier: list[str], name: str) -> str:
    """One more layer behind x."""
    _, h, w, c = b.shape(x)
    kind = rng.choice(["conv", "pointwise", "depthwise", "pool", "function", "add", "add"])
    if kind == "add":
        alike = [t for t in earlier if b.shape(t) == b.shape(x) and t != x]
        if alike:
            return b.add(Add(), x, str(rng.choice(alike)), name=name)
    if kind == "function":
        return b.add(Sigmoid() if rng.random() < 0.5 else Clamp(0.0, 1.0), x, name=name)
    kernel = (int(rng.integers(1, 1 + min(4, h))), int(rng.integers(1, 1 + min(4, w))))
    pad = tuple((int(rng.integers(0, k)), int(rng.integers(0, k))) for k in kernel)
    stride = (int(rng.choice([1, 1, 2])), int(rng.choice([1, 1, 2])))
    if kind == "pool":
        return b.add(MaxPool2d(kernel, stride, pad), x, name=name)
    out = c if kind == "depthwise" else int(rng.choice([1, 2, 3, 4, 5, 8]))
    bias = b.constant(rng.normal(0, 0.3, out))
    if kind == "depthwise":
        weights = b.constant(rng.normal(0, 0.5, (1, *kernel, c)))
        return b.add(DepthwiseConv2d(stride, pad), x, weights, bias, name=name)
    if kind == "pointwise":
        weights = b.constant(rng.normal(0, 0.5, (out, 1, 1, c)))
        return b.add(Conv2d(clamp=(0.0, 6.0)), x, weights, bias, name=name)
    weights = b.constant(rng.normal(0, 0.4, (out, *kernel, c)))
    return b.add(Conv2d(stride, pad, clamp=(0.0, np.inf)), x, weights, bias, name=name)


def by_rows(graph: Graph, first: int, last: int, feed: bool) -> Plan | None:
    """The plan in which these layers run by rows, where they can."""
    with contextlib.suppress(UserError):
        return plan(graph, FEATURES, streams=((first, last),), feed=feed)
    return None


def ranges(graph: Graph) -> list[Plan]:
    """A plan for every range of layers that can run by rows, and for every one that the input can be fed to."""
    steps = len(plan(graph, FEATURES).steps)
    pairs = itertools.combinations(range(steps), 2)
    return [p for pair in pairs for feed in (False, True) if (p := by_rows(graph, *pair, feed))]


SEEDS = 40


@pytest.mark.slow
def test_every_range_of_random_networks_equals_the_whole() -> None:
    """Rings, orders and overlaps: the outputs on the host between canaries."""
    cases = []
    rng = np.random.default_rng(0)
    for seed in range(SEEDS):
        graph = image_net(seed)
        plans = ranges(graph)
        picked = rng.choice(len(plans), min(6, len(plans)), replace=False) if plans else []
        chosen = [plans[i] for i in picked]
        chosen += [choose(graph, FEATURES), choose(graph, FEATURES, thorough=True), plan(graph, FEATURES)]
        for p in chosen:
            assert_sound(p)
            label = f"network {seed} {[(s.first, s.last, s.fed) for s in p.streams]}"
            cases.append(Case(label, p))
    assert sum(bool(c.plan.streams) for c in cases) > 3 * SEEDS
    assert sum(any(s.fed for s in c.plan.streams) for c in cases) > SEEDS // 2
    assert sum(bool(c.plan.overlaps) for c in cases) > SEEDS
    assert host_differences(cases, host_models(cases), seed=3, count=2) == []


def stem(rows: int = 24, width: int = 16) -> Graph:
    """Convolution, depthwise and pointwise layers, and a residual on the way, as networks for cameras begin."""
    b = Builder()
    x = b.conv(
        b.input(1, rows, width, 3), 8, 3, Conv2d((2, 2), ((0, 1), (0, 1)), clamp=(0.0, 6.0)), name="stem"
    )
    y = b.conv(x, 8, 3, Conv2d((1, 1), ((1, 1), (1, 1)), clamp=(0.0, 6.0)), name="widen")
    y = b.add(Add(), b.conv(y, 8, 1, name="narrow"), x, name="residual")
    return int8(b.graph(b.add(Mean((1, 2)), b.conv(y, 4, 1, name="last"))))


@pytest.mark.parametrize("options", [{}, {"optimize": "ram"}, {"feed_rows": True}], ids=str)
def test_streams_are_proven_on_the_core(options: dict[str, object], tmp_path: Path) -> None:
    graph = stem()
    firmware = compile(graph, "cortex-m4", name="net", out=tmp_path / "b", **options)  # type: ignore[arg-type]
    assert firmware.plan.streams
    x = np.random.default_rng(1).integers(-128, 128, (3, 24, 16, 3)).astype(np.int8)
    assert firmware.validate(x)["bit_exact"]
    assert firmware.machine.selftest() == 0
    again = open_build(tmp_path / "b")
    assert (again.profile(), again.emitted) == (firmware.profile(), firmware.emitted)
    assert firmware.plan.arena < plan(graph, firmware.target.isa).arena


def test_rows_of_a_stream_are_traced(tmp_path: Path) -> None:
    """A wrong constant in a streamed layer is found and named, although its tensor never exists as a whole."""
    firmware = compile(stem(), "cortex-m4", name="net", out=tmp_path / "b")
    rings = firmware.plan.streams[0].rings
    index = next(i for i, s in enumerate(firmware.plan.steps) if s.site.y.name in rings and s.kernel.rows)
    step = firmware.plan.steps[index]
    source = (tmp_path / "b" / "net.c").read_text()
    field = re.search(rf"_t net_p{index} = {{(.*?)}};", source, re.DOTALL)
    assert field is not None
    array = re.search(r"= (net_c\d+)", field[1])
    assert array is not None
    spoilt, count = re.subn(rf"({array[1]}\[\d+\] = {{\s*)(-?\d+)", r"\g<1>77", source, count=1)
    assert count == 1
    (tmp_path / "b" / "net.c").write_text(spoilt)
    found = open_build(tmp_path / "b").validate(np.full((1, 24, 16, 3), 50, np.int8))
    assert not found["bit_exact"]
    assert found["first_difference"]["layer"] == step.site.name


def short_rows() -> Graph:
    """Rows so short that a stream costs something."""
    b = Builder()
    x = b.input(1, 20, 6, 4)
    for i in range(2):
        x = b.conv(b.conv(x, 32, 1, name=f"widen {i}"), 4, 3, name=f"narrow {i}")
    return int8(b.graph(b.add(Mean((1, 2)), x)))


def test_a_budget_is_reached_or_refused_with_what_is_missing(tmp_path: Path) -> None:
    graph = short_rows()
    fast = compile(graph, "cortex-m4", name="net", out=tmp_path / "fast")
    small = compile(graph, "cortex-m4", name="net", out=tmp_path / "small", optimize="ram")
    need, least = (f.profile()["ram"]["total"] for f in (fast, small))
    assert least < need
    assert not fast.plan.streams
    assert compile(graph, "cortex-m4", name="net", out=tmp_path / "in", ram=need).plan.streams == ()
    within = compile(graph, "cortex-m4", name="net", out=tmp_path / "in", ram=need - 4)
    assert within.profile()["ram"]["total"] < need
    with pytest.raises(
        UserError, match=rf"needs {least} bytes of RAM .* the budget is {least - 4}; the peak"
    ):
        compile(graph, "cortex-m4", name="net", out=tmp_path / "no", ram=least - 4)


def test_what_cannot_be_fed_by_rows_is_refused() -> None:
    b = Builder()
    two = int8(b.graph(b.add(Add(), b.conv(b.input(1, 8, 8, 3), 3, 1), b.input(1, 8, 8, 3))))
    with pytest.raises(UserError, match="a model with 2 inputs"):
        choose(two, FEATURES, feed=True)
    b = Builder()
    flat = int8(b.graph(b.linear(b.input(1, 20), 5)))
    with pytest.raises(UserError, match="cannot run row by row: the input cannot be fed"):
        choose(flat, FEATURES, feed=True)


def test_a_thousand_layers_are_planned_in_time() -> None:
    graph = int8(ladder(1000))
    start = time.process_time()
    p = choose(graph, FEATURES)
    assert time.process_time() - start < 5.0
    assert len(p.steps) >= 999


def test_the_command_line_tells_what_a_budget_costs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store.save(short_rows(), tmp_path / "m.lil")
    compiled = ("compile", tmp_path / "m.lil", "-o", tmp_path / "b", "--ram", "5k")
    facts = lilliput(capfd, *compiled, "--json").json
    trade = facts["trade"]
    assert trade["ram"] <= 5120 < trade["ram_without"]
    assert trade["instructions"] > trade["instructions_without"]
    assert facts["streams"]
    assert re.search(r"Budget\s+\+\d+\.\d % instructions", lilliput(capfd, *compiled).out)


def test_the_command_line_takes_rows_and_refuses_strange_sizes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store.save(stem(), tmp_path / "m.lil")
    compiled = ("compile", tmp_path / "m.lil", "-o", tmp_path / "b")
    assert "By rows" in lilliput(capfd, *compiled, "--feed-rows").out
    header = (tmp_path / "b" / "m.h").read_text()
    assert all(f"m_{what}(" in header for what in ("start", "next_row", "push_row"))
    assert "m_run(" not in header
    refused(lilliput(capfd, *compiled, "--ram", "20 apples"), "a number of bytes such as 20480, 20k or 1M")
