"""Mean as an ONNX operator."""

from __future__ import annotations

from lilliput.exporters.onnx import OnnxWriter, dim, order
from lilliput.exporters.registry import to_onnx
from lilliput.op import Site
from lilliput.ops.reduce.mean import Mean


@to_onnx(Mean)
def mean(w: OnnxWriter, site: Site) -> None:
    op, rank = site.op, len(site.x.shape)
    assert isinstance(op, Mean)
    axes = sorted(dim(a, rank) for a in op.axes)
    value = w.node("ReduceMean", [w.real(site.x), w.ints(axes)], keepdims=int(op.keep_dims))
    if not op.keep_dims:  # what is left of NCHW, in the order of what is left of our axes
        left = [a for a in order(rank) if a not in op.axes]
        value = w.transposed(value, [left.index(a) for a in sorted(left)])
        value = w.transposed(value, order(len(site.y.shape)))
    w.result(site.y, value)
