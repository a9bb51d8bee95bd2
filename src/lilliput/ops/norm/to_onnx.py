"""Batch normalization, which is an affine function of the last axis here, as ONNX operators."""

from __future__ import annotations

import numpy as np

from lilliput.exporters.onnx import OnnxWriter, dim, order
from lilliput.exporters.registry import to_onnx
from lilliput.graph import Quant, Tensor
from lilliput.op import Site
from lilliput.ops.norm.batch_norm import BatchNorm


@to_onnx(BatchNorm)
def batch_norm(w: OnnxWriter, site: Site) -> None:
    op, (x, scale, offset) = site.op, site.ins
    assert isinstance(op, BatchNorm)
    rank = len(x.shape)

    def per_channel(t: Tensor, scales: Quant | None) -> str:
        assert t.data is not None
        quant = None if scales is None else Quant(scales.scale, np.zeros_like(scales.zero_point), 0)
        value = w.constant(t.data, quant)
        shape = [1] * rank
        shape[dim(-1, rank)] = -1
        return w.node("Reshape", [value, w.ints(shape)]) if order(rank) != tuple(range(rank)) else value

    steps = None if not site.integer else Quant(x.q.s * scale.q.scale, scale.q.zero_point, 0)
    product = w.node("Mul", [w.real(x), per_channel(scale, scale.quant)])
    w.result(site.y, w.node("Add", [product, per_channel(offset, steps)]), op.clamp)
