"""Hostile .lil files: a good one, changed in one place, is refused clearly, in time and in little memory."""

from __future__ import annotations

import dataclasses
import json
import resource
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lilliput import store
from lilliput.errors import UserError
from lilliput.ops.shape import Concat, Reshape
from lilliput.plan import plan
from small_graphs import Builder, int8, small_cnn

SECONDS = 2.0
MEGABYTES = 200


Structure = dict[str, Any]
Hostile = Callable[[Path], None]


@dataclasses.dataclass(frozen=True)
class Good:
    """The parts of a small int8 model's file."""

    structure: Structure
    arrays: dict[str, bytes]


def good(tmp_path: Path) -> Good:
    path = tmp_path / "good.lil"
    b = Builder()
    x = b.conv(b.input(1, 4, 4, 2), 4, name="conv")
    y = b.add(Concat(3), x, b.conv(x, 3, 1, name="point"), name="join")
    store.save(int8(b.graph(b.linear(b.add(Reshape((1, 112)), y), 2, name="last"))), path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        arrays = {name: archive.read(name) for name in names if name != "graph.json"}
        return Good(json.loads(archive.read("graph.json")), arrays)


def write(path: Path, structure: object, arrays: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        text = structure if isinstance(structure, bytes) else json.dumps(structure).encode()
        archive.writestr("graph.json", text)
        for name, content in arrays.items():
            archive.writestr(name, content)


def tensor(s: Structure, name: str) -> Structure:
    return next(t for t in s["tensors"] if t["name"] == name)


def weights(s: Structure) -> Structure:
    return tensor(s, s["nodes"][0]["inputs"][1])


def spare(s: Structure) -> str:
    """A tensor that nobody uses."""
    s["tensors"].append({"name": "spare", "shape": [1], "dtype": "int8"})
    return "spare"


def attributes(s: Structure, node: int = 0) -> Structure:
    found: Structure = s["nodes"][node]["attributes"]
    return found


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


CHANGES: dict[str, tuple[Callable[[Structure], object], str]] = {
    "unknown format": (lambda s: s.update(format=99), "has format 99; this version reads format 1"),
    "unknown key": (lambda s: s.update(extra=1), "extra: Extra inputs are not permitted"),
    "no inputs": (lambda s: s.update(inputs=[]), "inputs: List should have at least 1 item"),
    "unknown operator": (
        lambda s: s["nodes"][0].update(op="system"),
        "operator 'system' of 'conv' is unknown",
    ),
    "operator is a class path": (
        lambda s: s["nodes"][0].update(op="os.system"),
        "'os.system' of 'conv' is unknown",
    ),
    "unknown attribute": (lambda s: attributes(s).update(evil=1), "'conv2d' of 'conv' has the attributes"),
    "missing attribute": (lambda s: attributes(s).pop("stride"), "'conv2d' of 'conv' has the attributes"),
    "class variable as attribute": (lambda s: attributes(s).update(kernels=[]), "has the attributes"),
    "attribute is text": (
        lambda s: attributes(s).update(groups="1"),
        "attribute groups: Input should be a valid int",
    ),
    "attribute is a float": (
        lambda s: attributes(s).update(stride=[1.0, 1]),
        "attribute stride.0: Input should be",
    ),
    "attribute is true": (
        lambda s: attributes(s).update(groups=True),
        "attribute groups: Input should be a valid int",
    ),
    "attribute is null": (
        lambda s: attributes(s).update(stride=None),
        "attribute stride: Input should be a valid array",
    ),
    "attribute is an object": (lambda s: attributes(s).update(clamp={"a": 1}), "attribute clamp"),
    "attribute too short": (lambda s: attributes(s).update(stride=[1]), "attribute stride.1: Field required"),
    "attribute nested deeply": (
        lambda s: attributes(s).update(clamp=nested(900)),
        "recursion limit exceeded",
    ),
    "attribute is NaN": (
        lambda s: attributes(s).update(clamp=[float("nan"), 1]),
        "layer 'conv' (conv2d): clamp=(nan",
    ),
    "attribute is huge": (lambda s: attributes(s).update(groups=10**40), "(conv2d)"),
    "stride 0": (lambda s: attributes(s).update(stride=[0, 1]), "stride=(0, 1), expected at least 1"),
    "negative stride": (
        lambda s: attributes(s).update(stride=[-1, -1]),
        "stride=(-1, -1), expected at least 1",
    ),
    "negative padding": (
        lambda s: attributes(s).update(padding=[[-1, 0], [0, 0]]),
        "padding=((-1, 0), (0, 0)), expected at least 0",
    ),
    "groups do not divide": (lambda s: attributes(s).update(groups=3), "3 groups do not fit"),
    "negative axis": (lambda s: attributes(s, 2).update(axis=-1), "layer 'join' (concat)"),
    "axis outside": (lambda s: attributes(s, 2).update(axis=4), "layer 'join' (concat)"),
    "cycle": (
        lambda s: s["nodes"][0].update(inputs=[s["nodes"][2]["outputs"][0], *s["nodes"][0]["inputs"][1:]]),
        "'conv' reads 'y2' before anything wrote it",
    ),
    "nodes in the wrong order": (lambda s: s["nodes"].reverse(), "before anything wrote it"),
    "reads what nobody wrote": (
        lambda s: (
            s["tensors"].append({"name": "ghost", "shape": [1, 4, 4, 2], "dtype": "int8"}),
            s["nodes"][0]["inputs"].__setitem__(0, "ghost"),
        ),
        "'conv' reads 'ghost' before anything wrote it",
    ),
    "reads what is not there": (
        lambda s: s["nodes"][0]["inputs"].__setitem__(0, "../ghost"),
        "tensor '../ghost' is used and not described",
    ),
    "too many operands": (lambda s: s["nodes"][0]["inputs"].append("x0"), "has 4 inputs, expected 3"),
    "too few operands": (lambda s: s["nodes"][0]["inputs"].pop(), "has 2 inputs, expected 3"),
    "no operands": (lambda s: s["nodes"][2].update(inputs=[]), "has 0 inputs, expected at least 1"),
    "too many results": (
        lambda s: s["nodes"][3]["outputs"].append(spare(s)),
        "layer 'reshape_3' (reshape): gives",
    ),
    "no result": (lambda s: s["nodes"][0].update(outputs=[]), "before anything wrote it"),
    "written twice": (lambda s: s["nodes"].append(s["nodes"][0]), "is produced twice"),
    "writes a constant": (
        lambda s: s["nodes"][0].update(outputs=[s["nodes"][0]["inputs"][1]]),
        "'conv' writes the constant",
    ),
    "tensor twice": (lambda s: s["tensors"].append(s["tensors"][0]), "is there twice"),
    "zero scale": (
        lambda s: tensor(s, "x0")["quant"].update(scale=[0.0]),
        "'x0' has a scale that is not positive",
    ),
    "NaN scale": (
        lambda s: tensor(s, "x0")["quant"].update(scale=[float("nan")]),
        "'x0' has a scale that is not",
    ),
    "infinite scale": (
        lambda s: tensor(s, "x0")["quant"].update(scale=[1e300]),
        "'x0' has a scale that is not",
    ),
    "zero point outside int8": (
        lambda s: tensor(s, "x0")["quant"].update(zero_point=[200]),
        "'x0' has a zero point outside int8",
    ),
    "zero point outside int32": (
        lambda s: tensor(s, "x0")["quant"].update(zero_point=[2**40]),
        "zero_point.0: Input should be less than",
    ),
    "more scales than channels": (
        lambda s: tensor(s, "x0")["quant"].update(scale=[1.0] * 3, zero_point=[0] * 3, axis=3),
        "has 3 scales along",
    ),
    "scales without zero points": (
        lambda s: weights(s)["quant"].update(zero_point=[0]),
        "scales, 1 zero points and axis 0",
    ),
    "negative quantization axis": (lambda s: weights(s)["quant"].update(axis=-4), "scales along axis -4"),
    "weights with a zero point": (
        lambda s: weights(s)["quant"].update(zero_point=[1] * 4),
        "need zero points of 0, found [1, 1, 1, 1]",
    ),
    "float with scales": (
        lambda s: tensor(s, "x0").update(dtype="float32"),
        "'x0' is float32 and yet quantized",
    ),
    "unknown type": (lambda s: tensor(s, "x0").update(dtype="object"), "'x0' has the unknown type 'object'"),
    "rank 9": (lambda s: tensor(s, "x0").update(shape=[1] * 9), "shape: List should have at most 8 items"),
    "empty shape": (
        lambda s: tensor(s, "x0").update(shape=[1, 0, 4, 2]),
        "shape.1: Input should be greater than",
    ),
    "negative shape": (
        lambda s: tensor(s, "x0").update(shape=[1, -4, 4, 2]),
        "shape.1: Input should be greater",
    ),
    "huge shape": (lambda s: tensor(s, "x0").update(shape=[2**31 - 1] * 8), "would take"),
    "large shape": (
        lambda s: tensor(s, "x0").update(shape=[1, 2**14, 2**14, 2]),
        "would take 536870912 bytes",
    ),
    "wrong shape": (lambda s: tensor(s, "y0").update(shape=[1, 4, 4, 5]), "layer 'conv' (conv2d): gives"),
    "shape of the data": (
        lambda s: weights(s).update(shape=[4, 3, 3, 9]),
        "needs 324 bytes, '0.bin' holds 72",
    ),
    "data outside the archive": (
        lambda s: weights(s).update(data="../../../etc/passwd"),
        "the part '../../../etc/passwd' is missing",
    ),
    "data of an absolute path": (
        lambda s: weights(s).update(data="/etc/passwd"),
        "part '/etc/passwd' is missing",
    ),
    "the structure as data": (
        lambda s: weights(s).update(data="graph.json"),
        "the part 'graph.json' unpacks to",
    ),
    "result of another type": (
        lambda s: tensor(s, "y3").update(dtype="int16"),
        "a view of int8 cannot be int16",
    ),
    "labels are objects": (
        lambda s: s.update(meta={"labels": [{}]}),
        "meta.labels.0: Input should be a valid str",
    ),
    "labels are text": (
        lambda s: s.update(meta={"labels": "abc"}),
        "meta.labels: Input should be a valid array",
    ),
    "names too long": (lambda s: s["nodes"][0].update(name="x" * 5000), "at most 1000 characters"),
    "a list instead of nodes": (lambda s: s.update(nodes=[1]), "nodes.0: Input should be an object"),
}


def refused(path: Path) -> str:
    """The message of the refusal, which came in time and used little memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    with pytest.raises(UserError) as error:
        store.load(path)
    assert time.monotonic() - start < SECONDS
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert used < MEGABYTES, f"took {used:.0f} MB more"
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 2000
    return str(error.value)


@pytest.mark.parametrize("what", CHANGES)
def test_a_changed_structure_is_refused(what: str, tmp_path: Path) -> None:
    change, message = CHANGES[what]
    made = good(tmp_path)
    change(made.structure)
    write(tmp_path / "hostile.lil", made.structure, made.arrays)
    assert message in refused(tmp_path / "hostile.lil")


def test_the_unchanged_one_loads(tmp_path: Path) -> None:
    made = good(tmp_path)
    write(tmp_path / "fine.lil", made.structure, made.arrays)
    plan(store.load(tmp_path / "fine.lil"))


def _short(tmp: Path) -> None:
    (tmp / "h.lil").write_bytes((tmp / "good.lil").read_bytes()[:-40])


def _flipped(tmp: Path) -> None:
    content = bytearray((tmp / "good.lil").read_bytes())
    content[60] ^= 0xFF
    (tmp / "h.lil").write_bytes(content)


def _no_zip(tmp: Path) -> None:
    (tmp / "h.lil").write_bytes(b"\x80\x04\x95pickle" * 10)


def _empty(tmp: Path) -> None:
    (tmp / "h.lil").write_bytes(b"")


def _folder(tmp: Path) -> None:
    (tmp / "h.lil").mkdir()


def _no_structure(tmp: Path) -> None:
    with zipfile.ZipFile(tmp / "h.lil", "w") as archive:
        archive.writestr("0.bin", b"")


def _no_json(tmp: Path) -> None:
    write(tmp / "h.lil", b"{nodes", {})


def _deep_json(tmp: Path) -> None:
    write(tmp / "h.lil", b"[" * 5_000_000, {})


def _twice(tmp: Path) -> None:
    made = good(tmp)
    with zipfile.ZipFile(tmp / "h.lil", "w") as archive:
        archive.writestr("graph.json", json.dumps(made.structure))
        archive.writestr("graph.jsoN", b"{}")
    content = (tmp / "h.lil").read_bytes()
    (tmp / "h.lil").write_bytes(content.replace(b"graph.jsoN", b"graph.json"))


def _bomb(tmp: Path) -> None:
    write(tmp / "h.lil", {}, {f"{i}.bin": b"\0" * (16 << 20) for i in range(5)})


def _structure_bomb(tmp: Path) -> None:
    write(tmp / "h.lil", b" " * (30 << 20), {})


def _weight_bomb(tmp: Path) -> None:
    made = good(tmp)
    write(tmp / "h.lil", made.structure, {**made.arrays, "0.bin": b"\0" * (32 << 20)})


def _lying_size(tmp: Path) -> None:
    """The archive says 72 bytes of weights; 1 MB comes out."""
    made = good(tmp)
    size = len(made.arrays["0.bin"])
    write(tmp / "h.lil", made.structure, {**made.arrays, "0.bin": b"\0" * (1 << 20)})
    content = (tmp / "h.lil").read_bytes()
    (tmp / "h.lil").write_bytes(content.replace((1 << 20).to_bytes(4, "little"), size.to_bytes(4, "little")))


def _other_compression(tmp: Path) -> None:
    made = good(tmp)
    with zipfile.ZipFile(tmp / "h.lil", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("graph.json", json.dumps(made.structure))


def _nan_weights(tmp: Path) -> None:
    graph = small_cnn()
    name = graph.nodes[0].inputs[1]
    data = np.full(graph.tensors[name].shape, np.nan, np.float32)
    store.save(
        replace(graph, tensors={**graph.tensors, name: replace(graph.tensors[name], data=data)}),
        tmp / "h.lil",
    )


def _too_large(tmp: Path) -> None:
    with (tmp / "h.lil").open("wb") as file:
        file.truncate(store.LIMIT + 1)


FILES: list[tuple[Hostile, str]] = [
    (_short, "cannot be read as a .lil graph"),
    (_flipped, "cannot be read as a .lil graph"),
    (_no_zip, "File is not a zip file"),
    (_empty, "File is not a zip file"),
    (_folder, "cannot be read as a .lil graph"),
    (_no_structure, "the part 'graph.json' is missing"),
    (_no_json, "graph.json: Invalid JSON"),
    (_deep_json, "recursion limit exceeded"),
    (_twice, "names a part twice"),
    (_bomb, "unpacks to more than"),
    (_structure_bomb, "the part 'graph.json' unpacks to 31457280 bytes"),
    (_weight_bomb, "the part '0.bin' unpacks to 33554432 bytes, at most 72 are expected"),
    (_lying_size, "cannot be read as a .lil graph: Bad CRC-32"),
    (_other_compression, "is compressed by method 14"),
    (_nan_weights, "holds NaN or infinite values"),
    (_too_large, "is larger than"),
]


@pytest.mark.parametrize(("make", "message"), FILES, ids=[make.__name__ for make, _ in FILES])
def test_a_broken_file_is_refused(make: Hostile, message: str, tmp_path: Path) -> None:
    good(tmp_path)
    make(tmp_path)
    assert message in refused(tmp_path / "h.lil")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["good.lil", "h.lil"], "nothing is unpacked to disk"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        store.load(tmp_path / "none.lil")
