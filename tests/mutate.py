"""Changes to files that a fuzzer's random bytes would hardly find: in the JSON of a zip, a protobuf, a flatbuffer."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from collections.abc import Callable
from typing import Any

Mutator = Callable[[bytes, random.Random], bytes | None]
"""New bytes, None where these are not such a file."""
Bytes = Callable[[bytes, int], bytes]

NUMBERS = [
    -(2**63), -(2**31), -(2**31) - 1, -65536, -129, -128, -2, -1, 0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 64,
    100, 127, 128, 255, 256, 1000, 4095, 4096, 4097, 65535, 65536, 2**20, 2**24, 2**26, 2**31 - 1, 2**31, 2**32,
    2**62, 2**63 - 1,
]  # fmt: skip
REALS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1e-45,
    1e-30,
    1e30,
    3.5e38,
    -3.5e38,
    1e300,
    float("nan"),
    float("inf"),
    -1e-9,
]


def changed(mutator: Mutator, data: bytes, most: int, seed: int, plain: Bytes) -> bytes:
    """A change of what the file says, or as often of its bytes; never longer than `most`."""
    rng = random.Random(seed)
    if rng.random() < 0.8:
        for _ in range(3):
            try:
                new = mutator(data, rng)
            except (ValueError, KeyError, struct.error, RecursionError, OverflowError):
                new = None
            if new is not None and len(new) <= most:
                if rng.random() < 0.4:
                    data = new
                    continue
                return new
    return plain(data, most)


def zipped(data: bytes, rng: random.Random) -> bytes | None:
    """A part of a zip changed: JSON by its structure, anything else by its words."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            parts = [(i, archive.read(i)) for i in archive.infolist() if i.file_size < 1 << 20]
    except Exception:  # whatever a spoiled zip makes zipfile raise: it is not one any more
        return None
    if not parts:
        return None
    texts = [i for i, (info, _) in enumerate(parts) if info.filename.endswith(".json")]
    i = rng.choice(texts) if texts and rng.random() < 0.75 else rng.randrange(len(parts))
    info, content = parts[i]
    if info.filename.endswith(".json"):
        try:
            content = json.dumps(tree(json.loads(content), rng)).encode()
        except (ValueError, RecursionError):
            return None
    else:
        content = words(content, rng) or b""
    parts[i] = (info, content)
    if rng.random() < 0.02:
        parts.pop(rng.randrange(len(parts)))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for info, content in parts:
            archive.writestr(info.filename, content, compress_type=zipfile.ZIP_DEFLATED)
    return out.getvalue()


def tree(root: Any, rng: random.Random) -> Any:
    """JSON with one or a few of its values replaced, removed, doubled or exchanged."""
    places: list[tuple[Any, Any]] = []
    front = [root]
    while front:
        node = front.pop()
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                front.append(node[key])
    if not places:
        return root
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        node, key = rng.choice(places)
        if (isinstance(node, list) and key >= len(node)) or (isinstance(node, dict) and key not in node):
            continue
        what = rng.random()
        if what < 0.45:
            node[key] = value(node[key], rng)
        elif what < 0.6:
            other, k = rng.choice(places)
            if (isinstance(other, list) and k >= len(other)) or (isinstance(other, dict) and k not in other):
                continue
            node[key] = json.loads(json.dumps(other[k]))
        elif what < 0.75:
            del node[key]
        elif what < 0.9 and isinstance(node, list):
            node.insert(key, json.loads(json.dumps(node[key])))
        elif isinstance(node, dict):
            node[rng.choice([k for _, k in places if isinstance(k, str)] or ["x"])] = value(node[key], rng)
    return root


def value(now: Any, rng: random.Random) -> Any:
    """Something like what stands there, or not."""
    if rng.random() < 0.1:
        return rng.choice([None, True, False, "", "x", [], {}, [[]], 1, -1, 0.5, "../x", "a" * 300])
    if isinstance(now, bool):
        return not now
    if isinstance(now, int):
        return rng.choice([*NUMBERS, now + 1, now - 1, now * 2, -now])
    if isinstance(now, float):
        return rng.choice([*REALS, now * 2, -now, now + 1])
    if isinstance(now, str):
        return rng.choice(
            ["", now + "_", now[:-1], now.upper(), "same", "valid", "float32", "int8", "relu", "softmax"]
        )
    if isinstance(now, list):
        return rng.choice([now * 2, now[1:], now[::-1], [*now, 1], [None] * len(now), now[0] if now else 1])
    return rng.choice([None, {}, [], [now], 1])


def words(data: bytes, rng: random.Random) -> bytes | None:
    """Aligned numbers of one to eight bytes replaced, or exchanged: indices, sizes and offsets of a flatbuffer."""
    if len(data) < 8:
        return None
    new = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        size = rng.choice((1, 2, 4, 4, 4, 8))
        at = rng.randrange(0, len(new) - size + 1) // size * size
        now = int.from_bytes(new[at : at + size], "little")
        pick = rng.random()
        if pick < 0.15:
            other = rng.randrange(0, len(new) - size + 1) // size * size
            number = int.from_bytes(new[other : other + size], "little")
        elif pick < 0.5:
            number = now + rng.choice((-4, -3, -2, -1, 1, 2, 3, 4, 8))
        elif pick < 0.6 and size == 4:
            number = struct.unpack(
                "<I", struct.pack("<f", rng.choice([r for r in REALS if abs(r) < 3.4e38 or r != r]))
            )[0]
        else:
            number = rng.choice(NUMBERS)
        new[at : at + size] = (number % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(new)


def onnx_model(data: bytes, rng: random.Random) -> bytes | None:
    """A field of some message of an ONNX model changed, removed, doubled, or taken from another place."""
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError:
        return None
    for _ in range(rng.choice((1, 1, 2, 3))):
        _change_message(model, rng)
    return model.SerializeToString()


def _change_message(model: Any, rng: random.Random) -> None:
    messages, front = [], [model]
    while front:
        m = front.pop()
        messages.append(m)
        for d, found in m.ListFields():
            if d.message_type is not None:
                front += found if d.is_repeated else [found]
    m = rng.choice(messages)
    if rng.random() < 0.3:
        nodes = [
            n
            for n in messages
            if n.DESCRIPTOR.name in ("NodeProto", "AttributeProto", "TensorProto", "Dimension")
        ]
        m = rng.choice(nodes or [m])
    fields = m.ListFields()
    if not fields:
        return
    d, found = rng.choice(fields)
    if d.is_repeated:
        i = rng.randrange(len(found))
        what = rng.random()
        if d.message_type is not None:
            if what < 0.4:
                del found[i]
            elif what < 0.7:
                found.append(found[i])
            else:
                same = [x for x in messages if x.DESCRIPTOR is d.message_type]
                found[i].CopyFrom(rng.choice(same))
        elif what < 0.2:
            del found[i]
        elif what < 0.35:
            found.append(found[i])
        elif isinstance(found[i], str) and what < 0.8:  # names of tensors: wire it differently
            found[i] = rng.choice([s for n in model.graph.node for s in (*n.input, *n.output)] or ["x"])
        else:
            found[i] = scalar(found[i], d, rng)
    elif d.message_type is None:
        if rng.random() < 0.1:
            m.ClearField(d.name)
        elif d.name == "op_type" and rng.random() < 0.9:
            from lilliput.importers.registry import onnx_converters

            domain, _, name = rng.choice(sorted(onnx_converters())).rpartition(":")
            m.op_type, m.domain = name, domain
        else:
            setattr(m, d.name, scalar(found, d, rng))


def scalar(now: Any, d: Any, rng: random.Random) -> Any:
    """Another value of a protobuf field that the field can hold."""
    if isinstance(now, bytes):
        return words(now, rng) or rng.choice([b"", b"x", now * 2])
    if isinstance(now, str):
        return rng.choice(["", now + "_", "SAME_UPPER", "linear", "nearest", "reflect"])
    if isinstance(now, float):
        return rng.choice(
            [*(r for r in REALS if abs(r) < 3.4e38 or r != r), now * 2 if abs(now) < 1e38 else 0.0, -now]
        )
    wide = d.cpp_type in (d.CPPTYPE_INT64, d.CPPTYPE_UINT64)
    low, high = (-(2**63), 2**63 - 1) if wide else (-(2**31), 2**31 - 1)
    if d.cpp_type in (d.CPPTYPE_UINT32, d.CPPTYPE_UINT64):
        low = 0
    return min(max(rng.choice([*NUMBERS, now + 1, now - 1, now * 2, -now]), low), high)
