"""How torch's and TensorFlow Lite's matrix products become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.ops.matmul.einsum import einsum
from lilliput.ops.matmul.matmul import MatMul
from lilliput.ops.matmul.product import multiplied

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


@aten("matmul", "bmm", "mm", "mv", "dot", moves=True)
def matmul(b: TorchBuilder, call: Call) -> Value:
    second = next(name for name in ("other", "mat2", "vec", "tensor") if name in call.arguments)
    return multiplied(b, b.value(call["self"]), b.value(call[second]))


@aten("einsum", moves=True)
def einstein(b: TorchBuilder, call: Call) -> Value:
    def summed(x: Value, dims: list[int]) -> Value:
        raise UserError(
            f"layer '{b.where}': einsum '{call['equation']}' sums single operands; use sum before it"
        )

    return einsum(b, call["equation"], [b.value(v) for v in call["tensors"]], summed)


@tflite("BATCH_MATMUL")
def tflite_batch_matmul(b: TfliteBuilder, o: TfliteOperator) -> None:
    b.add(o, MatMul(bool(o.options["adj_x"]), bool(o.options["adj_y"])), b.inputs(o))
