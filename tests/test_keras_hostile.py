"""Hostile .keras files: each is refused with its own clear error, and any bytes give a graph or a UserError."""

from __future__ import annotations

import io
import json
import os
import struct
import time
import zipfile

os.environ.setdefault("KERAS_BACKEND", "torch")

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812  short, for it is on every line

from lilliput.errors import UserError
from lilliput.graph import Graph
from lilliput.importers.keras import load_keras
from lilliput.loading import load

pytestmark = pytest.mark.filterwarnings("ignore")  # of Keras itself
Parts = dict[str, bytes]


@cache
def saved() -> bytes:
    """conv, batch normalization, a nested model that is called twice, add, dense."""
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 5, 2), name="x")
    y = L.BatchNormalization(name="norm")(L.Conv2D(3, 3, padding="same", name="conv")(x))
    inner = keras.Sequential(
        [keras.Input((6, 5, 3)), L.Conv2D(3, 1, name="mix"), L.ReLU(name="relu")], name="inner"
    )
    y = L.Add(name="add")([inner(y), inner(inner(y))])
    y = L.GlobalAveragePooling2D(name="mean")(y)
    file = io.BytesIO()
    model = keras.Model(x, L.Dense(4, "softmax", name="dense")(y), name="net")
    path = Path("/tmp") / f"hostile-{os.getpid()}.keras"
    model.save(path)
    file.write(path.read_bytes())
    path.unlink()
    return file.getvalue()


def unpacked(data: bytes) -> Parts:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(parts: Parts) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return file.getvalue()


def layer(config: dict[str, Any], name: str) -> dict[str, Any]:
    """A layer's description, by its name."""
    return next(found for found in config["config"]["layers"] if found["name"] == name)


def history(config: dict[str, Any], name: str) -> list[Any]:
    """Which result a layer reads first."""
    args = layer(config, name)["inbound_nodes"][0]["args"][0]
    found = args[0] if isinstance(args, list) else args
    return found["config"]["keras_history"]  # type: ignore[no-any-return]


def setting(name: str, key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda c: layer(c, name)["config"].__setitem__(key, value)


def field(name: str, key: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda c: layer(c, name).__setitem__(key, value)


def nested(depth: int) -> Callable[[dict[str, Any]], object]:
    def change(c: dict[str, Any]) -> None:
        inner = layer(c, "inner")
        for _ in range(depth):
            copy = json.loads(json.dumps({**inner, "inbound_nodes": []}))
            inner["config"]["layers"] = [inner["config"]["layers"][0], copy]
            inner = inner["config"]["layers"][1]

    return change


def chain(spec: dict[str, Any], times: int) -> dict[str, Any]:
    """A model that calls a layer many times, one after the other."""

    def read(name: str, call: int) -> dict[str, Any]:
        config = {"shape": [None, 3], "dtype": "float32", "keras_history": [name, call, 0]}
        return {"args": [{"class_name": "__keras_tensor__", "config": config}], "kwargs": {}}

    first = {"module": "keras.layers", "class_name": "InputLayer", "config": {"name": "i"}, "name": "i"}
    nodes = [read("i", 0), *(read("s", call) for call in range(times - 1))]
    last = times - 1 + (spec["class_name"] == "Functional")
    config = {
        "layers": [first, {**spec, "name": "s", "inbound_nodes": nodes}],
        "input_layers": [["i", 0, 0]],
        "output_layers": [["s", last, 0]],
    }
    return {"module": "keras", "class_name": "Functional", "config": config}


def repeated(c: dict[str, Any]) -> None:
    """10,648 calls in a few kilobytes."""
    spec: dict[str, Any] = {"module": "keras.layers", "class_name": "ReLU", "config": {}}
    for _ in range(3):
        spec = chain(spec, 22)
    layer(c, "inner").update(spec)


def many(c: dict[str, Any]) -> None:
    c["config"]["layers"] = [{"module": "keras.layers", "class_name": "ReLU", "config": {}}] * 10_001


def model_as_activation(c: dict[str, Any]) -> None:
    layer(c, "dense")["config"]["activation"] = json.loads(json.dumps(layer(c, "inner")))


CONFIG: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "lambda": (field("norm", "class_name", "Lambda"), r"layer 'norm' \(Lambda\): it holds Python code, .* never run"),
    "operator lambda": (field("norm", "class_name", "TFOpLambda"), "Python code"),
    "module of another package": (field("norm", "module", "os"), r"custom class 'BatchNormalization' \(module 'os'\)"),
    "module that looks alike": (field("norm", "module", "keras_evil.layers"), "custom class"),
    "no module": (field("norm", "module", None), "custom class"),
    "registered name": (field("norm", "registered_name", "mine>Norm"), "custom class 'mine>Norm'"),
    "class name that is code": (field("norm", "class_name", '"); system("id'), "is not supported"),
    "class name that is a number": (field("norm", "class_name", 7), "expected its class"),
    "own activation": (setting("dense", "activation", {"class_name": "function", "config": "evil"}), "never run"),
    "activation of another module": (
        setting("dense", "activation", {"module": "os", "class_name": "system", "config": {}}),
        "custom class 'system'",
    ),
    "activation that is a model": (
        model_as_activation,
        "layer 'dense/inner/mix' .*holds 0 variables",
    ),
    "cycle": (lambda c: history(c, "conv").__setitem__(0, "norm"), "'conv|norm' reads its own result: a cycle"),
    "reads itself": (lambda c: history(c, "conv").__setitem__(0, "conv"), "'conv' reads its own result: a cycle"),
    "reads a layer that is not there": (lambda c: history(c, "norm").__setitem__(0, "ghost"), "'ghost' is read"),
    "reads a call that is not there": (lambda c: history(c, "norm").__setitem__(1, 9), "call 9 of layer 'conv'"),
    "reads a result that is not there": (lambda c: history(c, "norm").__setitem__(2, 3), "result 3 of call 0"),
    "negative call": (lambda c: history(c, "norm").__setitem__(1, -1), "does not say which result"),
    "history of another kind": (lambda c: history(c, "norm").__setitem__(0, 5), "does not say which result"),
    "output that is not there": (lambda c: c["config"].__setitem__("output_layers", [["ghost", 0, 0]]), "'ghost'"),
    "no outputs": (lambda c: c["config"].__setitem__("output_layers", []), "1 inputs and 0 outputs"),
    "outputs of another kind": (lambda c: c["config"].__setitem__("output_layers", 3), "output_layers hold 3"),
    "input that is not there": (lambda c: c["config"].__setitem__("input_layers", [["y", 0, 0]]), "input 'y' is not"),
    "two layers of one name": (lambda c: c["config"]["layers"].append(layer(c, "norm")), "two layers have one name"),
    "no layers": (lambda c: c["config"].__setitem__("layers", []), "expected 1 to 10000"),
    "layers of another kind": (lambda c: c["config"].__setitem__("layers", {"a": 1}), "as layers, expected"),
    "ten thousand layers": (many, "as layers, expected 1 to 10000"),
    "a layer that is text": (lambda c: c["config"]["layers"].__setitem__(1, "conv"), "described by conv"),
    "no config": (field("norm", "config", None), "expected settings by name"),
    "not a model": (
        lambda c: c.update(class_name="Optimizer", registered_name=None),
        "holds a Optimizer, expected a Functional",
    ),
    "models within models": (nested(30), "nested over 16 deep"),
    "models that repeat one another": (repeated, "more than 10000 calls"),
    "kernel size 0": (setting("conv", "kernel_size", [0, 3]), "kernel_size is .0, 3., expected 2 whole numbers"),
    "kernel size that lies": (setting("conv", "kernel_size", [5, 5]), "do not fit its kernel_size"),
    "huge kernel size": (setting("conv", "kernel_size", [2**31, 3]), "expected 2 whole numbers from 1 to 4096"),
    "stride 0": (setting("conv", "strides", 0), "strides is 0, expected"),
    "negative stride": (setting("conv", "strides", [-1, 1]), "strides is"),
    "dilation beyond the input": (
        lambda c: (setting("conv", "dilation_rate", 4000)(c), setting("conv", "padding", "valid")(c)),
        "a window over 8001 elements does not fit",
    ),
    "unknown padding": (setting("conv", "padding", "full"), "padding is 'full', expected one of valid, same"),
    "groups that do not divide": (setting("conv", "groups", 2), "in 2 groups do not fit 2 channels"),
    "no groups": (setting("conv", "groups", 0), "groups is 0"),
    "filters that lie": (setting("conv", "filters", 7), "do not fit 2 channels"),
    "zero filters": (setting("conv", "filters", 0), "filters is 0, expected"),
    "fraction for a number": (setting("dense", "units", 4.5), "units is 4.5, expected a whole number"),
    "truth for a number": (setting("dense", "units", True), "units is True"),
    "units that lie": (setting("dense", "units", 2**40), "expected a whole number from 1 to"),
    "text for a flag": (setting("conv", "use_bias", "yes"), "use_bias is 'yes', expected true or false"),
    "a bias that is not there": (setting("norm", "scale", False), "holds 4 variables, expected 3"),
    "axis outside": (setting("norm", "axis", 9), "axis is 9, expected axes from 1 to 3"),
    "epsilon of text": (setting("norm", "epsilon", "1e-3"), "epsilon is '1e-3', expected a number"),
    "infinite epsilon": (setting("norm", "epsilon", 1e300), "expected a number"),
    "unknown setting": (setting("norm", "surprise", {"a": 1}), "the setting 'surprise'=.* is not supported"),
    "quantized type": (setting("norm", "dtype", {"class_name": "QuantizedDTypePolicy", "config": {}}), "the type"),
    "unknown type": (setting("x", "dtype", "complex64"), "input 'x' has the type 'complex64'"),
    "zero dimension": (setting("x", "batch_shape", [None, 0, 5, 2]), "expected 1 to 8 dimensions of at least 1"),
    "negative dimension": (setting("x", "batch_shape", [None, -6, 5, 2]), "at least 1"),
    "input of 2^60 elements": (setting("x", "batch_shape", [None, 2**30, 2**30, 2]), "at most 16777216 elements"),
    "nine dimensions": (setting("x", "batch_shape", [None] + [1] * 8), "expected 1 to 8 dimensions"),
    "open dimension": (setting("x", "batch_shape", [None, None, 5, 2]), "--shape x=1,..."),
    "no shape": (setting("x", "batch_shape", None), "never built"),
    "shape of text": (setting("x", "batch_shape", "big"), "never built"),
    "dimension of text": (setting("x", "batch_shape", [None, "6", 5, 2]), "at least 1"),
    "other channels": (setting("x", "batch_shape", [None, 6, 5, 3]), "do not fit 3 channels"),
    "argument nobody knows": (
        lambda c: layer(c, "norm")["inbound_nodes"][0]["kwargs"].__setitem__("mask", [1]),
        "argument 'mask' is not supported",
    ),
    "too many inputs": (lambda c: layer(c, "norm")["inbound_nodes"][0]["args"].append(
        layer(c, "norm")["inbound_nodes"][0]["args"][0]), "'norm'.*2 inputs, expected 1"),
    "no inputs": (lambda c: layer(c, "norm")["inbound_nodes"][0].__setitem__("args", []), "0 inputs, expected 1"),
    "ten of a huge padding": (
        lambda c: (field("norm", "class_name", "ZeroPadding2D")(c),
                   field("norm", "config", {"name": "norm", "padding": 2**26})(c)),
        "'norm'.*expected at most 16777216 elements",
    ),
    "upsampling without bound": (
        lambda c: (field("norm", "class_name", "UpSampling2D")(c),
                   field("norm", "config", {"name": "norm", "size": 2**31})(c)),
        "size is 2147483648, expected",
    ),
}  # fmt: skip


def verdict(data: bytes) -> Graph | UserError:
    """A graph or a UserError, in less than two seconds; anything else fails the test."""
    start = time.process_time()
    result: Graph | UserError
    try:
        result = load_keras(data)
    except UserError as error:
        result = error
    assert time.process_time() - start < 2
    return result


def refused(data: bytes, words: str) -> None:
    found = verdict(data)
    with pytest.raises(UserError, match=words):
        raise found if isinstance(found, UserError) else AssertionError(f"was read: {found}")


def test_the_model_itself_is_fine() -> None:
    assert isinstance(verdict(saved()), Graph)


@pytest.mark.parametrize("name", CONFIG)
def test_a_description_is_refused_with_its_own_error(name: str) -> None:
    change, words = CONFIG[name]
    parts = unpacked(saved())
    config = json.loads(parts["config.json"])
    change(config)
    refused(packed({**parts, "config.json": json.dumps(config).encode()}), words)


# ---- weights


def patched(find: bytes, offset: int, new: bytes, nth: int = 0) -> Callable[[bytes], bytes]:
    """Other bytes behind the nth place of a signature."""

    def change(data: bytes) -> bytes:
        at = -1
        for _ in range(nth + 1):
            at = data.index(find, at + 1)
        at += offset
        return data[:at] + new + data[at + len(new) :]

    return change


def _messages(data: bytes, kind: int) -> list[int]:
    """Where the content of messages of a kind starts, in headers as h5py writes them."""
    found, at = [], 0
    while (at := data.find(struct.pack("<HH", kind, 24), at)) >= 0:
        found.append(at + 8)
        at += 4
    return found


def layout(address: int, size: int) -> Callable[[bytes], bytes]:
    """The first array is said to lie elsewhere."""

    def change(data: bytes) -> bytes:
        at = next(a for a in _messages(data, 8) if data[a : a + 2] == b"\x03\x01")
        return data[: at + 2] + struct.pack("<2Q", address, size) + data[at + 18 :]

    return change


def spoiled(value: float) -> Callable[[bytes], bytes]:
    """The first weight of the first large array."""

    def change(data: bytes) -> bytes:
        at = next(a for a in _messages(data, 8) if data[a : a + 2] == b"\x03\x01")
        (start,) = struct.unpack_from("<Q", data, at + 2)
        return data[:start] + struct.pack("<f", value) + data[start + 4 :]

    return change


U64 = struct.pack("<Q", 2**63)
HDF5: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "not HDF5": (lambda d: b"\x00" * len(d), "does not start as an HDF5 file"),
    "nothing": (lambda d: b"", "does not start as an HDF5 file"),
    "cut short": (lambda d: d[:700], "it says that it spans bytes 0 to"),
    "newer superblock": (patched(b"\x89HDF", 8, b"\x03"), "superblock version 3"),
    "numbers of 4 bytes": (patched(b"\x89HDF", 13, b"\x04\x04"), "numbers of 4 bytes"),
    "base that is not 0": (patched(b"\x89HDF", 24, struct.pack("<Q", 8)), "spans bytes 8 to"),
    "root outside": (patched(b"\x89HDF", 64, U64), "are outside of its"),
    "tree without its signature": (patched(b"TREE", 0, b"LEAF"), "no node of members"),
    "tree that is its own child": (
        lambda d: patched(b"TREE", 32, struct.pack("<Q", d.index(b"TREE")))(d),
        "the tree of members at .* is no tree",
    ),
    "tree of many children": (patched(b"TREE", 6, b"\xff\xff"), "are outside|no node of members|is no tree"),
    "heap without its signature": (patched(b"HEAP", 0, b"PILE"), "no heap of names"),
    "heap of 2^63 bytes": (patched(b"HEAP", 8, U64), "are outside of its"),
    "name outside": (patched(b"SNOD", 8, U64), "a name outside of the names"),
    "symbolic link": (patched(b"SNOD", 24, struct.pack("<I", 2)), "a symbolic link"),
    "members without end": (patched(b"SNOD", 6, b"\xff\xff"), "outside|are outside of its"),
    "array outside": (layout(2**40, 100), "bytes at 1099511627776 are outside of its"),
    "array at the last address": (layout(2**64 - 1, 100), "are outside of its"),
    "array of too few bytes": (layout(0, 3), "an array of .* bytes, 3 are stored"),
    "NaN among the weights": (spoiled(float("nan")), r"'\S+' .*holds NaN or infinite values \(1 of"),
    "infinity among the weights": (spoiled(float("inf")), "holds NaN or infinite values"),
}


@pytest.mark.parametrize("name", HDF5)
def test_weights_are_refused_with_their_own_error(name: str) -> None:
    change, words = HDF5[name]
    parts = unpacked(saved())
    refused(packed({**parts, "model.weights.h5": change(parts["model.weights.h5"])}), words)


def written(make: Callable[[Any], object]) -> bytes:
    """The model with a weights file that h5py wrote."""
    import h5py

    parts = unpacked(saved())
    file = io.BytesIO(parts["model.weights.h5"])
    with h5py.File(file, "r+") as f:
        make(f["layers/dense/vars"])
    return packed({**parts, "model.weights.h5": file.getvalue()})


def replaced(group: Any, **how: Any) -> None:
    data = group["0"][:]
    del group["0"]
    group.create_dataset("0", **{"data": data, **how})


def test_other_kinds_of_arrays_are_refused(tmp_path: Path) -> None:
    import h5py

    outside = tmp_path / "secret.bin"
    outside.write_bytes(b"\0" * 1000)
    assert isinstance(verdict(written(lambda g: replaced(g))), Graph)
    for make, words in (
        (lambda g: replaced(g, chunks=(1, 1)), "stored in the way 3.2|compressed"),
        (lambda g: replaced(g, compression="gzip"), "compressed"),
        (lambda g: replaced(g, external=[(str(outside), 0, 1000)]), "another file, which is never read"),
        (lambda g: replaced(g, data=np.zeros((3, 4), "S4")), "numbers of class 3"),
        (lambda g: replaced(g, dtype=">f4"), "numbers of class 1"),
        (lambda g: replaced(g, data=np.zeros((3, 4), "c8")), "numbers of class 6"),
        (lambda g: (g.__delitem__("0"), g.__setitem__("0", h5py.SoftLink("/etc/passwd"))), "symbolic link"),
        (
            lambda g: (g.__delitem__("0"), g.__setitem__("0", h5py.ExternalLink(str(outside), "/x"))),
            "link|outside",
        ),
        (lambda g: g.__delitem__("0"), "its variables are .'1'., expected 0, 1"),
        (lambda g: g.create_dataset("2", data=np.zeros(3, "f4")), "holds 3 variables, expected 2"),
        (
            lambda g: (g.__delitem__("0"), g.create_dataset("0", (9, 4), "f4")),
            "weights of shape|bytes|stored|not fit",
        ),
    ):
        refused(written(make), words)


def test_arrays_over_one_another_are_refused() -> None:
    """A bomb: many arrays that are the same bytes."""
    parts = unpacked(saved())
    data = bytearray(parts["model.weights.h5"])
    whole = [a for a in _messages(bytes(data), 8) if data[a : a + 2] == b"\x03\x01"]
    for at in whole:
        data[at + 2 : at + 18] = struct.pack("<2Q", 0, len(data))
    refused(packed({**parts, "model.weights.h5": bytes(data)}), "lie over one another|not fit|NaN")


# ---- the zip


def test_zips_are_checked(tmp_path: Path) -> None:
    parts = unpacked(saved())
    config = parts["config.json"]
    cases: list[tuple[bytes, str]] = [
        (packed({k: v for k, v in parts.items() if k != "config.json"}), "config.json is missing"),
        (packed({k: v for k, v in parts.items() if k != "model.weights.h5"}), "model.weights.h5 is missing"),
        (packed({**parts, "../evil.py": b"x"}), "'../evil.py' would lie outside"),
        (packed({**parts, "/etc/passwd": b"x"}), "'/etc/passwd' would lie outside"),
        (packed({**parts, "a/..\\b": b"x"}), "would lie outside"),
        (packed({**parts, "C:\\x": b"x"}), "would lie outside"),
        (packed({**parts, "zeros.bin": b"\0" * (257 << 20)}), "unpacks to .* expected at most 268435456"),
        (packed({**parts, **{f"{i}": b"" for i in range(1001)}}), "in 10.. parts, expected"),
        (packed({**parts, "config.json": b" " * (9 << 20)}), "config.json unpacks to 9437184 bytes"),
        (packed({**parts, "config.json": b"[" * 100_000}), "config.json is not readable JSON"),
        (packed({**parts, "config.json": b"[]"}), "holds list, expected an object"),
        (packed({**parts, "config.json": config[:-9]}), "config.json is not readable JSON"),
        (packed({**parts, "config.json": config.replace(b"0.001", b"NaN")}), "NaN where a number is expected"),
        (packed({**parts, "config.json": config.replace(b"0.001", b"9" * 5000)}), "config.json is not readable JSON"),
        (packed({**parts, "config.json": b"\xff\xfe" + config}), "config.json is not readable JSON"),
        (packed({**parts, "metadata.json": b'{"keras_version": "2.15.0"}'}), "written by Keras 2.15.0, expected 3"),
        (saved()[:500], "not a readable .keras file"),
        (b"", "not a readable .keras file"),
        (b"\x80\x04\x95\x1f\x00\x00\x00", "not a readable .keras file"),
        (parts["model.weights.h5"], "not a readable .keras file"),
    ]  # fmt: skip
    twice = packed({**parts, "config.jsox": b"{}"}).replace(b"config.jsox", b"config.json")
    cases.append((twice, "names a part twice"))
    packed_hard = io.BytesIO()
    with zipfile.ZipFile(packed_hard, "w", zipfile.ZIP_LZMA) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    cases.append((packed_hard.getvalue(), "compressed by method 14"))
    for data, words in cases:
        refused(data, words)
        path = tmp_path / "m.keras"
        path.write_bytes(data)
        with pytest.raises(UserError, match=words):
            load(path)


def test_names_never_reach_the_c() -> None:
    from lilliput.emit import emit
    from lilliput.plan import plan

    evil = '*/ #include "/etc/passwd"\n%s${x}`id`'
    parts = unpacked(saved())
    text = parts["config.json"].decode()
    for name in ("x", "conv", "norm", "inner", "mix", "relu", "add", "mean", "dense", "net"):
        text = text.replace(json.dumps(name), json.dumps(f"{evil}{name}"))
    found = verdict(packed({**parts, "config.json": text.encode()}))
    assert isinstance(found, Graph)
    made = emit(plan(found), "net")
    for source in (made.source, made.header):
        assert not any(piece in source for piece in ("passwd", "`id`", "${x}", "%s"))


@pytest.mark.parametrize("seed", range(3))
def test_spoiled_bytes(seed: int) -> None:
    """Random changes of any part: a graph or a UserError, and quickly."""
    rng = np.random.default_rng(seed)
    parts = unpacked(saved())
    for _ in range(60):
        name = list(parts)[int(rng.integers(len(parts)))]
        data = bytearray(parts[name])
        for at in rng.integers(0, len(data), int(rng.integers(1, 6))):
            data[at] = int(rng.integers(256))
        verdict(packed({**parts, name: bytes(data)}))
