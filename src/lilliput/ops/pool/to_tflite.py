"""Pooling as TensorFlow Lite operators."""

from __future__ import annotations

from lilliput.exporters.registry import to_tflite
from lilliput.exporters.tflite import TfliteWriter
from lilliput.importers.tflite import same_padding
from lilliput.op import Site
from lilliput.ops.pool.pool2d import AvgPool2d, MaxPool2d, Pool2d


@to_tflite(AvgPool2d, MaxPool2d)
def pool(w: TfliteWriter, site: Site) -> None:
    op = site.op
    assert isinstance(op, Pool2d)
    if op.dilation != (1, 1):
        raise w.refuse(f"a pooling window with dilation {op.dilation}")
    geometry = zip(site.x.shape[1:3], op.window, op.stride, op.dilation, strict=True)
    same = tuple(same_padding(*each) for each in geometry)
    if any(map(any, op.padding)) and op.padding != same:
        raise w.refuse(
            f"pooling with padding {op.padding}; the format knows none and SAME, which is {same} here"
        )
    w.plain(
        "AVERAGE_POOL_2D" if isinstance(op, AvgPool2d) else "MAX_POOL_2D",
        site,
        padding="SAME" if any(map(any, op.padding)) else "VALID",
        stride_h=op.stride[0],
        stride_w=op.stride[1],
        filter_height=op.window[0],
        filter_width=op.window[1],
        fused_activation=w.activation(op.clamp),
    )
