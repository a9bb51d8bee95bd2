"""How ONNX's running sums and products become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.importers.registry import onnx
from lilliput.ops.cumulative.cumulative import CumProd, CumSum

if TYPE_CHECKING:
    from lilliput.importers.builder import Value
    from lilliput.importers.onnx import OnnxBuilder
    from lilliput.importers.onnx_reader import OnnxNode


@onnx("CumSum", "CumProd")
def cumulative(b: OnnxBuilder, n: OnnxNode) -> Value:
    x, dim = b.value(n, 0), int(b.data(n, 1).reshape(-1)[0])
    if not -len(x.order) <= dim < len(x.order):
        raise UserError(f"{n.where}: dimension {dim} of a tensor of {len(x.order)}")
    cls = CumSum if n.op == "CumSum" else CumProd
    return b.add(cls(b.axis(x, dim), bool(n.attr("exclusive", 0)), bool(n.attr("reverse", 0))), [x], x.order)
