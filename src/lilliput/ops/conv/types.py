"""Which types of input, weights, bias and result a convolution or linear layer accepts."""

from __future__ import annotations

from lilliput.op import Site
from lilliput.ops.conv import kernels_int16


def types_refused(site: Site, wide_biases: tuple[str, ...]) -> str | None:
    """Why these types do not fit together, or None; `wide_biases` are those of an int16 result."""
    x, w, b, y = (t.dtype for t in (*site.ins[:3], site.y))
    if y == "int16":
        return kernels_int16.refusal(site, wide_biases)
    if (x, w, b, y) == ("float32",) * 4 or ((x, b, y) == ("int8", "int32", "int8") and w in ("int8", "int4")):
        return None
    hint = ""
    if "uint8" in (x, w):
        hint = (
            "; uint8 is what old converters wrote, TFLM refuses it as well: convert the model to int8 again"
        )
    return f"input {x}, weights {w} and bias {b} cannot give {y}{hint}"
