"""The command line: what each verb writes, prints and promises to other tools."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lilliput
from cli_tools import lilliput as run_lilliput
from cli_tools import refused, spawn
from lilliput import store
from lilliput.errors import UserError
from lilliput.evaluate import run
from lilliput.firmware import open_build
from lilliput.graph import Graph
from lilliput.ops.conv import Conv2d, Linear
from lilliput.ops.shape import Reshape
from small_graphs import RELU, SAME, Builder

pytestmark = pytest.mark.slow

SAMPLES = 12


def small_net() -> Graph:
    """8 x 6 x 2 -> conv -> linear -> 5 classes, float."""
    b = Builder()
    x = b.input(1, 8, 6, 2)
    y = b.add(
        Conv2d(padding=SAME, stride=(2, 2), clamp=RELU), x, b.random(4, 3, 3, 2), b.random(4), name="first"
    )
    y = b.add(Reshape((1, 48)), y)
    y = b.add(Linear(), y, b.random(5, 48), b.random(5), name="last")
    return Graph(tuple(b.inputs), (y,), tuple(b.nodes), b.tensors)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """model.lil, x.npz and the build of both in build/."""
    place = tmp_path_factory.mktemp("cli")
    store.save(small_net(), place / "small.lil")
    x = np.random.default_rng(1).normal(size=(SAMPLES, 8, 6, 2)).astype(np.float32)
    np.savez(place / "x.npz", x=x)
    arguments = [place / "small.lil", "--calibration", place / "x.npz", "-o", place / "build"]
    done = subprocess.run(
        [sys.executable, "-m", "lilliput", "compile", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return place


def test_help_is_quick() -> None:
    """Processor time, not the clock's: other tests run beside this one."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    seconds = []
    for _ in range(3):
        start = spent()
        subprocess.run([sys.executable, "-m", "lilliput", "--help"], check=True, capture_output=True)
        seconds.append(spent() - start)
    assert min(seconds) < 0.3


def test_help_lists_every_verb_in_80_columns() -> None:
    told = spawn("from lilliput.cli import main; main()", "--help")
    assert told.code == 0
    for verb in [
        "demo",
        "train",
        "compile",
        "run",
        "validate",
        "export",
        "profile",
        "boards",
        "report",
        "ops",
        "targets",
    ]:
        assert f"\n  {verb} " in told.out
    assert max(map(len, told.out.splitlines())) <= 80
    assert "..." not in told.out.split("Commands:")[1], "a summary is cut off"


def test_no_verb_is_help(capfd: pytest.CaptureFixture[str]) -> None:
    outcome = run_lilliput(capfd)
    assert "Commands:" in outcome.out + outcome.err


def test_version(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_lilliput(capfd, "--version").out == f"lilliput {lilliput.__version__}\n"


def test_compile_writes_the_promised_files(folder: Path) -> None:
    found = {p.name for p in (folder / "build").iterdir()}
    assert {"small.c", "small.h", "CMakeLists.txt", "lilliput.json", "small.lil"} <= found
    assert not [name for name in found if name.startswith(".")]


def test_compile_twice_gives_the_same_bytes(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    outcome = run_lilliput(
        capfd, "compile", folder / "small.lil", "--calibration", folder / "x.npz", "-o", again, "--json"
    )
    for name in ("small.c", "small.h", "small.lil", "lilliput.json", "CMakeLists.txt"):
        assert (again / name).read_bytes() == (folder / "build" / name).read_bytes(), name
    facts = outcome.json
    assert facts["target"] == "cortex-m4"
    assert facts["inputs"][0]["dtype"] == "int8"
    assert facts["ram"]["total"] == sum(facts["ram"][part] for part in ("arena", "stack", "static"))


@pytest.mark.parametrize(
    "extra", [["--io", "float32"], ["--calibration-method", "mse", "--optimize", "size"]]
)
def test_compile_options(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], extra: list[str]
) -> None:
    out = tmp_path / "out"
    model, x = folder / "small.lil", folder / "x.npz"
    outcome = run_lilliput(
        capfd,
        "compile",
        model,
        "--calibration",
        x,
        "--target",
        "cortex-m0plus",
        "--name",
        "other",
        "-o",
        out,
        *extra,
    )
    assert outcome.code == 0, outcome.err
    firmware = open_build(out)
    assert (firmware.name, firmware.target.name) == ("other", "cortex-m0plus")
    wanted = "float32" if "--io" in extra else "int8"
    assert firmware.graph.tensors[firmware.graph.inputs[0]].dtype == wanted
    assert firmware.optimize == ("size" if "size" in extra else "speed")


@pytest.mark.parametrize(
    ("option", "weights"), [(["--activations", "int16"], "int8"), (["--weights", "int4"], "int4")]
)
def test_compile_to_other_types(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], option: list[str], weights: str
) -> None:
    arguments = [folder / "small.lil", "--calibration", folder / "x.npz", "-o", tmp_path / "out", *option]
    assert run_lilliput(capfd, "compile", *arguments).code == 0
    graph = open_build(tmp_path / "out").graph
    assert graph.tensors[graph.inputs[0]].dtype == ("int16" if "int16" in option else "int8")
    assert weights in {t.dtype for t in graph.tensors.values() if t.constant}
    told = run_lilliput(capfd, "validate", tmp_path / "out", "--data", folder / "x.npz", "--json").json
    assert told["bit_exact"]


def test_int4_weights_need_a_layer_that_takes_them(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = [folder / "small.lil", "--calibration", folder / "x.npz", "-o", tmp_path / "out"]
    outcome = run_lilliput(capfd, "compile", *arguments, "--activations", "int16", "--weights", "int4")
    refused(outcome, "--weights int4", "no layer")


def test_compile_a_model_with_states(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Steps one by one give what the whole sequence gives."""
    import torch

    torch.manual_seed(0)
    layer = torch.nn.GRU(3, 4, batch_first=True)
    store.save(lilliput.load(layer, torch.zeros(1, 1, 3)), tmp_path / "gru.lil")
    assert (
        run_lilliput(capfd, "compile", tmp_path / "gru.lil", "--stateful", "-o", tmp_path / "out").code == 0
    )
    x = torch.randn(5, 1, 3)
    firmware = open_build(tmp_path / "out")
    assert len(firmware.graph.states) == 1
    found = firmware.run(x.numpy(), keep_state=True)
    with torch.no_grad():
        expected = layer(x.reshape(1, 5, 3))[0].reshape(5, 1, 4).numpy()
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-6)


def test_optimize_for_size_takes_the_smaller_form(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Trees have two; what lilliput.json names is opened again as it was built."""
    from sklearn.tree import DecisionTreeRegressor

    rng = np.random.default_rng(0)
    model = DecisionTreeRegressor(max_leaf_nodes=60, random_state=0).fit(
        rng.normal(size=(300, 4)), rng.random(300)
    )
    store.save(lilliput.load(model), tmp_path / "tree.lil")
    flash = {}
    for aim in ("speed", "size"):
        out = tmp_path / aim
        told = run_lilliput(
            capfd, "compile", tmp_path / "tree.lil", "--optimize", aim, "-o", out, "--json"
        ).json
        flash[aim] = told["flash"]["total"]
        assert open_build(out).plan.steps[0].kernel.name == {"speed": "tree_code", "size": "tree_table"}[aim]
    assert flash["size"] < flash["speed"]


@pytest.mark.parametrize("ending", ["tflite", "onnx"])
def test_export_and_import_again(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], ending: str
) -> None:
    """The file, read again, has the same integers in every output; its name says the format, or --format does."""
    file = tmp_path / f"small.{ending}"
    arguments = [folder / "small.lil", "--calibration", folder / "x.npz"]
    told = run_lilliput(capfd, "export", *arguments, "-o", file, "--json").json
    assert (told["format"], told["bytes"]) == (ending, file.stat().st_size)
    odd = tmp_path / "small.bin"
    assert run_lilliput(capfd, "export", *arguments, "-o", odd, "--format", ending).code == 0
    assert odd.read_bytes() == file.read_bytes()
    x = np.load(folder / "x.npz")["x"]
    small, again = store.load(folder / "build" / "small.lil"), lilliput.load(file)
    np.testing.assert_array_equal(run(again, x), run(small, x))


def test_without_calibration_the_model_stays_float(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_lilliput(capfd, "compile", folder / "small.lil", "-o", tmp_path / "f").code == 0
    told = run_lilliput(capfd, "validate", tmp_path / "f", "--data", folder / "x.npz", "--json")
    assert told.code == 0
    assert told.json["bit_exact"] is True


def test_run_gives_the_same_everywhere(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = []
    for on in ("host", "emulator"):
        file = tmp_path / f"{on}.npz"
        outcome = run_lilliput(
            capfd, "run", folder / "build", "--input", folder / "x.npz", "--output", file, "--on", on
        )
        assert outcome.code == 0, outcome.err
        results.append(np.load(file)["y"])
    assert results[0].shape == (SAMPLES, 5)
    assert results[0].dtype == np.int8
    np.testing.assert_array_equal(results[0], results[1])


def test_integers_and_floats_are_the_same_samples(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """int8 samples go in as they are; floats are quantized with the input's parameters."""
    graph = store.load(folder / "build" / "small.lil")
    quant = graph.tensors[graph.inputs[0]].q
    np.savez(tmp_path / "q.npz", x=quant.quantize(np.load(folder / "x.npz")["x"], "int8"))
    results = []
    for file in (folder / "x.npz", tmp_path / "q.npz"):
        run_lilliput(
            capfd, "run", folder / "build", "--input", file, "--output", tmp_path / "y.npz", "--on", "host"
        )
        results.append(np.load(tmp_path / "y.npz")["y"])
    np.testing.assert_array_equal(results[0], results[1])


def test_pixels_take_the_recorded_way(folder: Path) -> None:
    """uint8 pixels of a model with recorded preprocessing: q = pixel - 128, every one of the 256."""
    from dataclasses import replace

    from lilliput.data.preprocess import Preprocess
    from lilliput.deploy import recorded_input_quant
    from lilliput.npz import read_samples
    from lilliput.quantize import quantize

    record = Preprocess(8, 6, 2, mean=(33 / 255,), std=(0.31,)).to_json()
    graph = replace(small_net(), meta={"preprocess": record})
    x = np.random.default_rng(0).normal(size=(4, 8, 6, 2)).astype(np.float32)
    small = quantize(graph, x, input_quant=recorded_input_quant(graph))
    pixels = np.resize(np.arange(256, dtype=np.uint8), (3, 8, 6, 2))
    file = folder / "pixels.npz"
    np.savez(file, x=pixels)
    np.testing.assert_array_equal(read_samples(file, small), pixels.astype(np.int16) - 128)


def test_validate_json_is_the_contract(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = run_lilliput(capfd, "validate", folder / "build", "--data", folder / "x.npz", "--json")
    assert outcome.code == 0
    told = outcome.json
    assert (told["samples"], told["bit_exact"], told["first_difference"]) == (SAMPLES, True, None)


def test_validate_finds_a_changed_weight_and_names_its_layer(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The C of another model under this graph: not exact, exit code 1, and the layer is named."""
    import shutil
    from dataclasses import replace

    from lilliput.firmware import compile

    broken = tmp_path / "broken"
    shutil.copytree(folder / "build", broken)
    graph = store.load(folder / "build" / "small.lil")
    weight = next(t for t in graph.tensors.values() if t.constant and t.shape == (5, 48))
    assert weight.data is not None
    data = weight.data.copy()
    data[3] = -data[3]
    other = replace(graph, tensors={**graph.tensors, weight.name: replace(weight, data=data)})
    compile(other, out=tmp_path / "other", name="small")
    shutil.copy(tmp_path / "other" / "small.c", broken / "small.c")
    outcome = run_lilliput(capfd, "validate", broken, "--data", folder / "x.npz", "--json")
    assert outcome.code == 1
    assert outcome.json["bit_exact"] is False
    assert outcome.json["first_difference"]["layer"] == "last"
    told = run_lilliput(capfd, "validate", broken, "--data", folder / "x.npz")
    assert told.code == 1
    assert "last" in told.out


def test_profile_json_is_the_contract(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = run_lilliput(capfd, "profile", folder / "build", "--json").json
    wanted = [
        "target",
        "macs",
        "instructions",
        "instructions_range",
        "cycles_estimate",
        "flash",
        "ram",
        "layers",
    ]
    assert set(wanted) <= set(told)
    assert told["macs"] == small_net().macs()
    assert told["flash"]["total"] >= told["flash"]["code"] + told["flash"]["constants"]
    assert told["ram"]["total"] == told["ram"]["arena"] + told["ram"]["stack"] + told["ram"]["static"]
    low, high = told["instructions_range"]
    assert low <= told["instructions"] <= high
    for layer in told["layers"]:
        assert {"name", "op", "kernel", "macs", "instructions"} <= set(layer)
    assert sum(layer["instructions"] for layer in told["layers"]) <= told["instructions"]
    numbers = [told["instructions"], *told["flash"].values(), *told["ram"].values(), *told["cycles_estimate"]]
    assert all(type(n) is int for n in numbers)


def test_boards_json_and_limits(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    told = run_lilliput(capfd, "boards", folder / "build", "--json").json
    assert told["recommended"]
    assert any(board["fits"] for board in told["boards"])
    none = run_lilliput(capfd, "boards", folder / "build", "--latency", "1ns", "--json").json
    assert none["recommended"] is None
    refused(run_lilliput(capfd, "boards", folder / "build", "--ram", "20 cats"), "--ram", "cats")


@pytest.mark.parametrize("verb", ["profile", "boards"])
def test_tables_fit_80_columns(folder: Path, verb: str) -> None:
    told = spawn("from lilliput.cli import main; main()", verb, folder / "build")
    assert told.code == 0, told.err
    assert max(map(len, told.out.splitlines())) <= 80


def test_report_of_a_build(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert run_lilliput(capfd, "report", folder / "build", "-o", page).code == 0
    text = page.read_text(encoding="utf-8")
    assert "conv2d" in text
    assert "http://" not in text.replace("http://www.w3.org", ""), "the page asks somebody else for something"


def test_ops_come_from_the_registry(capfd: pytest.CaptureFixture[str]) -> None:
    from lilliput.op import REGISTRY

    rows = run_lilliput(capfd, "ops", "--json").json
    assert sorted(row["op"] for row in rows) == sorted(REGISTRY)
    for row in rows:
        assert row["dtypes"], row
        assert [k["name"] for k in row["kernels"]] == [k.name for k in REGISTRY[row["op"]].kernels]
    table = run_lilliput(capfd, "ops", "--markdown").out
    assert table.count("\n| `") == len(rows)
    told = spawn("from lilliput.cli import main; main()", "ops")
    assert max(map(len, told.out.splitlines())) <= 80
    assert all(f"\n{row['op']} " in told.out for row in rows)


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("onnx", {"Conv", "GRU", "ai.onnx.ml:TreeEnsembleClassifier"}),
        ("tflite", {"CONV_2D", "UNIDIRECTIONAL_SEQUENCE_LSTM"}),
        ("torch", {"conv2d", "lstm"}),
        ("keras", {"Dense", "GRU"}),
        ("sklearn", {"SVC", "RandomForestClassifier", "XGBClassifier"}),
    ],
)
def test_ops_tell_what_is_read(capfd: pytest.CaptureFixture[str], source: str, names: set[str]) -> None:
    listed = run_lilliput(capfd, "ops", "--from", source, "--json").json
    assert names <= set(listed)
    assert run_lilliput(capfd, "ops", "--from", source).out.split() == listed


def test_targets(capfd: pytest.CaptureFixture[str]) -> None:
    names = {row["name"] for row in run_lilliput(capfd, "targets", "--json").json}
    assert {"cortex-m0plus", "cortex-m4", "cortex-m7", "rv32imc", "pxa27x"} <= names
    assert "cortex-m33" in run_lilliput(capfd, "targets").out


def test_only_training_needs_torch(folder: Path, tmp_path: Path) -> None:
    """Every other verb runs where torch cannot be imported."""
    model, x, build = str(folder / "small.lil"), str(folder / "x.npz"), str(tmp_path / "build")
    verbs = [
        ["compile", model, "--calibration", x, "-o", build],
        ["run", build, "--input", x, "--output", str(tmp_path / "y.npz")],
        ["validate", build, "--data", x],
        ["profile", build, "--json"],
        ["boards", build],
        ["report", build],
        ["ops"],
        ["targets"],
    ]
    code = """if True:
        import json, sys
        sys.modules["torch"] = None
        from lilliput.cli import main
        for arguments in json.loads(sys.argv[1]):
            try:
                main(arguments)
            except SystemExit as leave:
                assert not leave.code, arguments
    """
    outcome = spawn(code, json.dumps(verbs))
    assert outcome.code == 0, outcome.err


def test_import_is_light_and_lazy() -> None:
    code = (
        "import sys, lilliput; "
        "heavy = {'numpy', 'torch', 'rich', 'typer'} & set(sys.modules); assert not heavy, heavy; "
        "import lilliput.firmware; "
        "assert callable(lilliput.quantize) and callable(lilliput.profile) and callable(lilliput.validate); "
        "import lilliput.quantize.report; assert callable(lilliput.quantize); "
        "assert all(getattr(lilliput, name) for name in lilliput.PUBLIC if name != 'demo'); "
        "assert 'torch' not in sys.modules"
    )
    outcome = spawn(code)
    assert outcome.code == 0, outcome.err


def test_the_python_way(folder: Path, tmp_path: Path) -> None:
    """The dozen lines of the README."""
    graph = lilliput.load(folder / "small.lil")
    x = np.load(folder / "x.npz")["x"]
    firmware = lilliput.compile(lilliput.quantize(graph, x), target="cortex-m4", out=tmp_path / "b")
    assert firmware.run(x[:2]).shape == (2, 5)
    assert firmware.validate(x[:2])["bit_exact"]
    assert firmware.profile()["macs"] == graph.macs()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        lilliput.nothing  # noqa: B018
    with pytest.raises(UserError, match="example input"):
        lilliput.load(object())  # type: ignore[arg-type]


def test_report_survives_its_file() -> None:
    """report.json gives back every value of the report; another build's report is not shown."""
    from lilliput.report.html import render_html
    from lilliput.report.store import parse_report, report_json
    from report_sample import sample_report

    report = sample_report()
    again = parse_report(report_json(report, "mark"), "mark", "report.json")
    assert again is not None
    assert render_html(again) == render_html(report)
    assert parse_report(report_json(report, "mark"), "other", "report.json") is None
    for damaged in ("", "[]", '{"format": 1}', report_json(report, "mark").replace('"title"', '"tittle"')):
        with pytest.raises(UserError, match=r"report\.json"):
            parse_report(damaged, "mark", "report.json")
