"""The emitted C: its interface through ctypes, hostile names and labels, the same bytes every time."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lilliput.build import build_host
from lilliput.deploy import identifier_of
from lilliput.emit import Emitted, Golden, emit, literals, random_inputs
from lilliput.errors import UserError
from lilliput.evaluate import step_through
from lilliput.examples import draw
from lilliput.graph import Graph, Node, Tensor, verify
from lilliput.host import HostModel, build_library
from lilliput.ops.binary import Add
from lilliput.ops.conv import Conv2d
from lilliput.ops.reduce import ArgMax
from lilliput.ops.shape import Reshape
from lilliput.ops.unary import Clamp, Sigmoid
from lilliput.plan import WORD, Plan, plan
from lilliput.toolchain import cache_dir
from small_graphs import SAME, Builder, int8, small_cnn

OK, NULL, ARENA, UNALIGNED, SELFTEST = 0, -1, -2, -3, -4


class TensorInfo(ctypes.Structure):
    _fields_ = (
        ("shape", ctypes.POINTER(ctypes.c_int32)),
        ("rank", ctypes.c_int32),
        ("scale", ctypes.c_float),
        ("zero_point", ctypes.c_int32),
    )


class Info(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("version", ctypes.c_char_p),
        ("hash", ctypes.c_char_p),
        ("inputs", ctypes.POINTER(TensorInfo)),
        ("input_count", ctypes.c_int32),
        ("outputs", ctypes.POINTER(TensorInfo)),
        ("output_count", ctypes.c_int32),
        ("labels", ctypes.POINTER(ctypes.c_char_p)),
        ("label_count", ctypes.c_int32),
    )


def info(library: ctypes.CDLL, name: str) -> Info:
    function = getattr(library, f"{name}_info")
    function.restype = ctypes.POINTER(Info)
    found: Info = function().contents
    return found


def status(library: ctypes.CDLL, function: str, arena: int | None, size: int) -> int:
    called = getattr(library, function)
    called.argtypes, called.restype = (ctypes.c_void_p, ctypes.c_size_t), ctypes.c_int
    return int(called(arena, size))


def library_of(emitted: Sequence[Emitted], folder: Path, sanitize: str | None = None) -> ctypes.CDLL:
    """Each model in a file of its own, as users have them, linked into one library."""
    for e in emitted:
        (folder / f"{e.name}.h").write_text(e.header)
        (folder / f"{e.name}.c").write_text(e.source)
    sources = [folder / f"{e.name}.c" for e in emitted]
    return ctypes.CDLL(str(build_host(sources, [folder], folder / "models.so", sanitize=sanitize)))  # type: ignore[arg-type]


def arena_of(p: Plan, shift: int = 0) -> tuple[np.ndarray, int]:
    """Memory, and an address in it that is aligned but for `shift`."""
    memory = np.zeros(p.arena + 64, np.uint8)
    return memory, memory.ctypes.data + (-memory.ctypes.data) % WORD + shift


@pytest.fixture(scope="module")
def planned() -> Plan:
    return plan(int8(small_cnn(labels=["cat", "dog"])))


@pytest.fixture(scope="module")
def library(planned: Plan, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return library_of([emit(planned, "net")], tmp_path_factory.mktemp("net"), "undefined")


# --- the interface ---


def test_run_through_the_public_interface(planned: Plan, library: ctypes.CDLL) -> None:
    _memory, address = arena_of(planned)
    library.net_input.restype = library.net_output.restype = ctypes.POINTER(ctypes.c_int8)
    library.net_input.argtypes = library.net_output.argtypes = (ctypes.c_void_p,)
    for feed in draw(planned.graph, 8, 4):
        x = feed["x0"].reshape(-1)
        ctypes.memmove(library.net_input(address), x.ctypes.data, x.size)
        assert status(library, "net_run", address, planned.arena) == OK
        expected = step_through(planned.graph, feed)[planned.graph.outputs[0]].reshape(-1)
        assert library.net_output(address)[: expected.size] == expected.tolist()


def test_bad_arenas_are_refused(planned: Plan, library: ctypes.CDLL) -> None:
    memory, address = arena_of(planned)
    for function in ("net_run", "net_selftest"):
        assert status(library, function, None, planned.arena) == NULL
        assert status(library, function, address, planned.arena - 1) == ARENA
        assert status(library, function, address, 0) == ARENA
        assert not memory.any(), "nothing was written"
        for shift in range(1, WORD):
            assert status(library, function, address + shift, planned.arena) == UNALIGNED
        memory[:] = 0
        assert status(library, function, address, planned.arena + 32) == OK
        memory[:] = 0


def test_selftest_tells(planned: Plan, library: ctypes.CDLL, tmp_path: Path) -> None:
    _memory, address = arena_of(planned)
    assert status(library, "net_selftest", address, planned.arena) == OK
    inputs = random_inputs(planned)
    outputs = {name: v.copy() for name, v in step_through(planned.graph, inputs).items()}
    outputs[planned.graph.outputs[0]].flat[-1] ^= 1
    wrong = emit(planned, "wrong", Golden(inputs, outputs))
    assert status(library_of([wrong], tmp_path), "wrong_selftest", address, planned.arena) == SELFTEST


def test_info_tells_shapes_scales_and_labels(planned: Plan, library: ctypes.CDLL) -> None:
    found = info(library, "net")
    assert found.name == b"net"
    assert (found.input_count, found.output_count, found.label_count) == (1, 1, 2)
    assert [found.labels[i] for i in range(2)] == [b"cat", b"dog"]
    for entry, name in ((found.inputs[0], "x0"), (found.outputs[0], planned.graph.outputs[0])):
        t = planned.graph.tensors[name]
        assert entry.shape[: entry.rank] == list(t.shape)
        assert (np.float32(entry.scale), entry.zero_point) == (t.q.s, t.q.z)


def test_two_models_link_into_one_library(tmp_path: Path) -> None:
    """They share kernels and constants by content, and nothing by name."""
    b = Builder(np.random.default_rng(9))
    other = int8(b.graph(b.add(Sigmoid(), b.conv(b.input(1, 5, 5, 2), 8))))
    plans = {"first": plan(int8(small_cnn())), "second": plan(other)}
    emitted = [emit(p, name) for name, p in plans.items()]
    library = library_of(emitted, tmp_path)
    for e, p in zip(emitted, plans.values(), strict=True):
        _memory, address = arena_of(p)
        assert status(library, f"{e.name}_selftest", address, p.arena) == OK
        model = HostModel(p, e.name, library, e.layers)
        (feed,) = draw(p.graph, 2)
        for name, value in step_through(p.graph, feed).items():
            assert np.array_equal(model.run(feed)[name], value)


def test_several_ports_have_their_names() -> None:
    b = Builder()
    x, y = b.input(1, 4), b.input(1, 4)
    graph = b.graph(b.add(Add(), x, y), b.add(ArgMax(1), x), b.add(Clamp(), y))
    p = plan(int8(graph))
    e = emit(p, "ports")
    declared = re.findall(r"(\w+) \*(ports_(?:input|output)_\w+)\(", e.header)
    assert declared == [
        ("int8_t", "ports_input_x0_0"),
        ("int8_t", "ports_input_x1_1"),
        ("int8_t", "ports_output_y0_0"),
        ("int32_t", "ports_output_y1_1"),
        ("int8_t", "ports_output_y2_2"),
    ]
    model = HostModel(p, e.name, build_library([e]), e.layers)
    (feed,) = draw(p.graph, 2)
    for name, value in step_through(p.graph, feed).items():
        assert np.array_equal(model.run(feed)[name], value)


def test_a_model_without_layers() -> None:
    b = Builder()
    p = plan(b.graph(b.add(Reshape((6,)), b.input(1, 2, 3))))
    e = emit(p, "view")
    (feed,) = draw(p.graph, 2)
    found = HostModel(p, e.name, build_library([e], sanitize="undefined"), e.layers).run(feed)
    assert np.array_equal(found["y0"], feed["x0"].reshape(6))


def test_a_constant_output_is_refused() -> None:
    b = Builder()
    b.input(1, 2)
    with pytest.raises(UserError, match="output 'c1' is a constant"):
        emit(plan(b.graph(b.constant([1.0]))), "net")


def test_the_header_is_cpp(planned: Plan, tmp_path: Path) -> None:
    (tmp_path / "net.h").write_text(emit(planned, "net").header)
    (tmp_path / "use.cpp").write_text(
        '#include "net.h"\n#include "net.h"\n'
        "static unsigned char a[NET_ARENA_SIZE];\n"
        "int main() { return net_run(a, sizeof a) == NET_OK ? 0 : 1; }\n"
    )
    flags = ["-std=c++11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-c", "-o", "use.o"]
    # For a target without a C++ library: zig would build one first, which takes minutes.
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "c++",
        "-target",
        "thumb-freestanding-eabi",
        *flags,
        "use.cpp",
    ]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(cache_dir() / "zig")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert b"net_run" in (tmp_path / "use.o").read_bytes(), "C linkage: the name is not mangled"


def test_only_the_header_of_a_float_model_tells_of_contraction(planned: Plan) -> None:
    assert "-ffp-contract=off" in emit(plan(small_cnn()), "net").header
    assert "-ffp-contract" not in emit(planned, "net").header


# --- what comes from files ---

LABELS = [
    "plain",
    'quote " and \\ backslash',
    '"; system("ls"); "',
    "trigraph ??/ ??' ??=",
    "line\nfeed\r\ttab",
    "*/ int x; /*",
    "%s%n {{ name }} {% raw %}",
    "ünï ✓ 猫",
    "digit after escape \x017",
    "",
    "a" * 900,
]
NASTY = ["*/ int evil; /*", "a\nb", '"; #error', "{{ 7 * 7 }}", "//", "\\", "??/", "猫", "", "main"]


def test_labels_cannot_break_out(planned: Plan, tmp_path: Path) -> None:
    graph = replace(planned.graph, meta={"labels": LABELS})
    emitted = emit(plan(graph), "net")
    assert all(ord(c) < 128 for c in emitted.source)
    found = info(library_of([emitted], tmp_path), "net")
    assert [found.labels[i].decode() for i in range(found.label_count)] == LABELS


def test_names_from_files_never_reach_the_c(tmp_path: Path) -> None:
    """Every tensor and layer has a nasty name; inputs and outputs too."""
    graph = small_cnn()
    names = {name: f"{NASTY[i % len(NASTY)]}{i}" for i, name in enumerate(graph.tensors)}
    tensors = {
        names[n]: Tensor(names[n], t.shape, t.dtype, t.quant, t.data) for n, t in graph.tensors.items()
    }
    nodes = [
        Node(
            n.op, tuple(names[i] for i in n.inputs), tuple(names[o] for o in n.outputs), NASTY[i % len(NASTY)]
        )
        for i, n in enumerate(graph.nodes)
    ]
    inputs, outputs = (tuple(names[n] for n in ends) for ends in (graph.inputs, graph.outputs))
    outputs += (names["y0"],)
    nasty = int8(verify(Graph(inputs, outputs, tuple(nodes), tensors)))
    emitted = emit(plan(nasty), "net")
    text = emitted.source + emitted.header
    assert not any(word in text for word in ("evil", "#error", "7 * 7", "猫", "??"))
    library_of([emitted], tmp_path)
    clean = emit(plan(int8(Graph(graph.inputs, (*graph.outputs, "y0"), graph.nodes, graph.tensors))), "net")
    port = r"output_\w+?_(\d)(?=\(|_golden|_shape)"
    assert re.sub(port, r"output_\1", emitted.source) == re.sub(port, r"output_\1", clean.source)


@pytest.mark.parametrize(
    "name",
    [
        "int",
        "main",
        "while",
        "9x",
        "a b",
        "a;system",
        "",
        "_x",
        "a-b",
        "é",
        "x" * 32,
        "a\n",
        "../a",
        "a.b",
        "A*",
    ],
)
def test_model_names_are_refused(name: str, planned: Plan) -> None:
    with pytest.raises(UserError, match="cannot be the model's name: it becomes a C identifier"):
        emit(planned, name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("stdint", "hide the standard <stdint.h>"),
        ("String", "hide the standard <string.h>"),
        ("math", "hide the standard <math.h>"),
        ("test", "CMake keeps the target 'test'"),
        ("ALL_BUILD", "CMake keeps the target 'ALL_BUILD'"),
        ("rebuild_cache", "CMake keeps the target 'rebuild_cache'"),
        ("lilliput", "Lilliput's own names"),
    ],
)
def test_names_that_others_need_are_refused(name: str, reason: str, planned: Plan) -> None:
    with pytest.raises(UserError, match="cannot be the model's name") as caught:
        emit(planned, name)
    assert reason in str(caught.value)
    assert "--name" in str(caught.value)


def test_names_made_from_those_of_files_are_good() -> None:
    made = {
        text: identifier_of(text)
        for text in ("test", "String", "int", "lilliput", "9", "_", "my net", "x" * 40)
    }
    assert all(literals.identifier(name) == name for name in made.values())
    assert (made["test"], made["my net"], made["_"]) == ("model_test", "my_net", "model")


def test_model_names_are_taken() -> None:
    for name in ("a", "Net_2", "x" * 31, "interrupt", "strings", "tests", "math_model"):
        assert literals.identifier(name) == name


# --- literals ---


def test_numbers() -> None:
    assert literals.number(-(2**31)) == "(-2147483647 - 1)"
    assert literals.number(np.int8(-5)) == "-5"
    assert literals.number(True) == "1"
    for value in (0.1, -0.0, 1e-45, 3.4028234e38, np.float32(1) / 3):
        text = literals.number(value)
        assert text.endswith("f")
        assert np.float32(float.fromhex(text[:-1])).tobytes() == np.float32(value).tobytes()
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="has no C99 literal"):
            literals.number(value)


def test_arrays() -> None:
    text = literals.array(np.arange(-100, 100, dtype=np.int8))
    assert [int(v) for v in text.replace("\n", " ").split(",")] == list(range(-100, 100))
    assert max(map(len, text.splitlines())) <= 116
    assert "(-2147483647 - 1)" in literals.array(np.array([-(2**31), 5], np.int32))


# --- the same bytes every time ---

DETERMINISTIC = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from small_graphs import int8, small_cnn
from lilliput.emit import emit
from lilliput.plan import plan
e = emit(plan(int8(small_cnn(labels=["b", "a"]))), "net")
print(hashlib.sha256((e.source + e.header).encode()).hexdigest())
"""


def test_two_processes_write_the_same_bytes() -> None:
    found = set()
    for seed in ("1", "2"):
        command = [sys.executable, "-c", DETERMINISTIC, str(Path(__file__).parent)]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        found.add(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1
    assert re.fullmatch(r"[0-9a-f]{64}\n", found.pop())


def test_no_path_date_or_machine_in_the_c(planned: Plan) -> None:
    e = emit(planned, "net")
    text = e.source + e.header
    assert str(Path(__file__).parents[1]) not in text
    assert "/home" not in text
    assert not re.search(r"20\d\d-\d\d-\d\d", text)
    assert text.startswith("/* SPDX-License-Identifier: 0BSD")


def test_equal_constants_are_stored_once() -> None:
    b = Builder()
    x = b.input(1, 4, 4, 8)
    w, bias = b.random(8, 3, 3, 8), b.random(8)
    y = b.add(Conv2d(padding=SAME), b.add(Conv2d(padding=SAME), x, w, bias), w, bias)
    source = emit(plan(b.graph(y)), "net").source
    assert source.count("static const float net_c") == 2
