"""How ATen's and TensorFlow Lite's weighted resizing becomes ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lilliput.errors import UserError
from lilliput.importers.registry import aten, tflite
from lilliput.ops.resize.bilinear import ResizeBilinear
from lilliput.ops.resize.importing import interpolated
from lilliput.ops.resize.positions import Axis

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator
    from lilliput.importers.torch import Call, TorchBuilder, Value


@aten(
    "upsample_linear1d",
    "upsample_bilinear2d",
    "upsample_trilinear3d",
    "upsample_bicubic2d",
    "_upsample_bilinear2d_aa",
    "_upsample_bicubic2d_aa",
)
def upsample(b: TorchBuilder, call: Call) -> Value:
    x = b.value(call["input"] if "input" in call.arguments else call["self"])
    shape = b.shape(x)
    dims = range(2, len(shape))
    names = {1: ("scales",), 2: ("scales_h", "scales_w"), 3: ("scales_d", "scales_h", "scales_w")}
    factors = call.get("scale_factors") or [call.get(key) for key in names[len(dims)]]
    sizes = call.get("output_size") or [int(shape[d] * f) for d, f in zip(dims, factors, strict=True)]
    mode = "align_corners" if call.get("align_corners") else "half_pixel"
    kind, antialias = "cubic" if "bicubic" in call.target else "linear", call.target.endswith("_aa")
    axes = {
        d: Axis(shape[d], int(m), float(m) / shape[d] if mode == "align_corners" or not f else float(f), mode)
        for d, m, f in zip(dims, sizes, factors, strict=True)
        if int(m) != shape[d]
    }
    # With antialiasing PyTorch takes another cubic, and leaves out what lies outside.
    cubic = -0.5 if antialias else -0.75
    taps = {d: a.taps(kind, cubic=cubic, antialias=antialias, inside=antialias) for d, a in axes.items()}
    return interpolated(b, x, axes, taps, kind, plain=not antialias)


@tflite("RESIZE_BILINEAR")
def resize_bilinear(b: TfliteBuilder, o: TfliteOperator) -> None:
    x, y, size = b.tensor(o, 0), b.output(o), b.data(o, 1)
    if (
        len(x.shape) != 4
        or size.size != 2
        or size.dtype.kind not in "iu"
        or not 1 <= size.min() <= size.max() <= 65535
    ):
        raise UserError(f"{b.where(o)}: {x.shape} cannot be resized to {size.tolist()}")
    if x.dtype != y.dtype or (y.quant is not None and not y.quant.same(x.quant)):
        raise UserError(f"{b.where(o)}: input and result differ in type or quantization")
    h, w = (int(n) for n in size.reshape(-1))
    align, half = bool(o.options.get("align_corners")), bool(o.options.get("half_pixel_centers"))
    if align and half:
        raise UserError(f"{b.where(o)}: corners are aligned and pixels have centres; TFLM allows one of both")
    op = ResizeBilinear.of(x.shape, (h, w), align=align, half=half)
    b.add(o, op, (x.name,))
