"""Batch normalization as the TensorFlow Lite operator that it is in int8: a depthwise convolution of one pixel."""

from __future__ import annotations

from lilliput.exporters.registry import to_tflite
from lilliput.exporters.tflite import TfliteWriter
from lilliput.graph import Quant
from lilliput.op import Site
from lilliput.ops.norm.batch_norm import BatchNorm


@to_tflite(BatchNorm)
def batch_norm(w: TfliteWriter, site: Site) -> None:
    op, (x, scale, offset) = site.op, site.ins
    assert isinstance(op, BatchNorm)
    assert scale.data is not None
    if len(x.shape) != 4:
        raise w.refuse(f"a batch normalization of shape {x.shape}, expected 4 dimensions")
    quant = None if scale.quant is None else Quant(scale.quant.scale, scale.quant.zero_point, 3)
    weights = w.constant(scale.data.reshape(1, 1, 1, -1), quant)
    w.operator(
        "DEPTHWISE_CONV_2D",
        [w.tensor(x), weights, w.tensor(offset)],
        [w.tensor(site.y)],
        padding="VALID",
        stride_h=1,
        stride_w=1,
        dilation_h=1,
        dilation_w=1,
        depth_multiplier=1,
        fused_activation=w.activation(op.clamp),
    )
