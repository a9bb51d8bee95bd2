"""Convolutions and linear layers as TensorFlow Lite operators; the weights lie as ours do."""

from __future__ import annotations

from lilliput.exporters.registry import to_tflite
from lilliput.exporters.tflite import TfliteWriter
from lilliput.op import Site
from lilliput.ops.conv.conv2d import Conv2d
from lilliput.ops.conv.depthwise import DepthwiseConv2d
from lilliput.ops.conv.linear import Linear


def _windowed(w: TfliteWriter, site: Site, op: Conv2d | DepthwiseConv2d, kind: str, **options: int) -> None:
    _, weights, bias = site.ins
    window = (weights.shape[1], weights.shape[2])
    x, padding = w.padded(site.x, window, op.stride, op.dilation, op.padding)
    w.operator(
        kind,
        [x, w.tensor(weights), w.tensor(bias)],
        [w.tensor(site.y)],
        padding=padding,
        stride_h=op.stride[0],
        stride_w=op.stride[1],
        dilation_h=op.dilation[0],
        dilation_w=op.dilation[1],
        fused_activation=w.activation(op.clamp),
        **options,
    )


@to_tflite(Conv2d)
def conv2d(w: TfliteWriter, site: Site) -> None:
    assert isinstance(site.op, Conv2d)
    _windowed(w, site, site.op, "CONV_2D")


@to_tflite(DepthwiseConv2d)
def depthwise(w: TfliteWriter, site: Site) -> None:
    assert isinstance(site.op, DepthwiseConv2d)
    multiplier = site.y.shape[3] // site.x.shape[3]
    _windowed(w, site, site.op, "DEPTHWISE_CONV_2D", depth_multiplier=multiplier)


@to_tflite(Linear)
def linear(w: TfliteWriter, site: Site) -> None:
    assert isinstance(site.op, Linear)
    w.plain(
        "FULLY_CONNECTED",
        site,
        fused_activation=w.activation(site.op.clamp),
        weights_format="DEFAULT",
        keep_num_dims=len(site.x.shape) > 2,
    )
