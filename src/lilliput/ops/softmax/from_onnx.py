"""How ONNX's softmax and its kin become ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.importers.registry import onnx
from lilliput.op import Op
from lilliput.ops.shape import Reshape
from lilliput.ops.softmax import losses as losses
from lilliput.ops.softmax.hardmax import Hardmax
from lilliput.ops.softmax.log_softmax import LogSoftmax
from lilliput.ops.softmax.softmax import Softmax

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode

KINDS: dict[str, type[Op]] = {"Softmax": Softmax, "LogSoftmax": LogSoftmax, "Hardmax": Hardmax}
PER_AXIS = 13
"""From this opset on one axis is normalized; before, all from `axis` on as one."""


@onnx(*KINDS)
def softmax(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, op = b.value(n, 0), KINDS[n.op]()
    rank = len(x.order)
    given = int(n.attr("axis", -1 if n.version >= PER_AXIS else 1))
    if not -rank <= given < rank + (n.version < PER_AXIS):
        raise UserError(f"{n.where}: axis {given} is not one of {rank} dimensions")
    axis = given if given == rank else given % rank
    if n.version >= PER_AXIS or axis == rank - 1:
        return b.add(op, [b.reorder(x, (*(d for d in x.order if d != axis), axis))])
    shape = b.shape(x)
    flat = (math.prod(shape[:axis]), math.prod(shape[axis:]))
    rows = b.add(Reshape(flat), [b.logical(x)], (0, 1))
    return b.add(Reshape(shape), [b.add(op, [rows])], tuple(range(rank)))
