"""How ATen's and TensorFlow Lite's selections become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.ops.select.one_hot import OneHot
from lilliput.ops.select.reverse_sequence import ReverseSequence
from lilliput.ops.select.topk import TopK
from lilliput.ops.select.triangle import Triangle
from lilliput.ops.shape.from_tflite import option

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


@aten("topk", "sort")
def topk(b: TorchBuilder, call: Call) -> tuple[Value, ...]:
    x, dim = b.value(call["self"]), int(call["dim"])
    count = int(call["k"]) if "k" in call.arguments else b.shape(x)[dim]
    largest = bool(call["largest"] if "largest" in call.arguments else call.get("descending", False))
    return b.add_many(TopK(b.axis(x, dim), count, largest, "int64"), [x], x.order)


@aten("triu", "tril")
def triangle(b: TorchBuilder, call: Call) -> Value:
    x = b.logical(b.value(call["self"]))
    far = max(b.shape(x)[-2:]) + 1
    k = max(-far, min(int(call.get("diagonal", 0)), far))
    return b.add(Triangle(call.target.startswith("triu"), k), [x], x.order)


@aten("one_hot")
def one_hot(b: TorchBuilder, call: Call) -> Value:
    x, classes = b.logical(b.value(call["self"])), int(call["num_classes"])
    if classes < 1:
        raise UserError(f"layer '{b.where}': one_hot needs num_classes, the number of classes")
    rank = len(x.order)
    return b.add(OneHot(rank, classes, 0.0, 1.0, "int64"), [x], tuple(range(rank + 1)))


@tflite("TOPK_V2")
def tflite_topk(b: TfliteBuilder, o: TfliteOperator) -> None:
    x, count = b.tensor(o, 0), int(b.data(o, 1).reshape(-1)[0])
    indices: Literal["int32", "int64"] = "int64" if b.output(o, 1).dtype == "int64" else "int32"
    b.add(o, TopK(len(x.shape) - 1, count, True, indices), (x.name,))


@tflite("ONE_HOT")
def tflite_one_hot(b: TfliteBuilder, o: TfliteOperator) -> None:
    x, y = b.tensor(o, 0), b.output(o)
    depth, on, off = (b.data(o, i).reshape(-1)[0] for i in (1, 2, 3))
    axis = option(o, "axis")
    if y.quant is not None:
        on, off = (float(y.quant.s) * (int(v) - y.quant.z) for v in (on, off))
    op = OneHot(len(x.shape) if axis < 0 else axis, int(depth), float(off), float(on), y.dtype)
    b.add(o, op, (x.name,))


@tflite("REVERSE_SEQUENCE")
def tflite_reverse_sequence(b: TfliteBuilder, o: TfliteOperator) -> None:
    op = ReverseSequence(option(o, "seq_dim"), option(o, "batch_dim"))
    b.add(o, op, (b.tensor(o, 0).name, b.tensor(o, 1).name))
