"""How TensorFlow Lite's QUANTIZE and DEQUANTIZE become ours; of constants, real numbers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lilliput.importers.registry import tflite
from lilliput.ops.requantize import Dequantize, Quantize

if TYPE_CHECKING:
    from lilliput.importers.tflite import TfliteBuilder
    from lilliput.importers.tflite_reader import TfliteOperator


@tflite("QUANTIZE")
def tflite_quantize(b: TfliteBuilder, o: TfliteOperator) -> None:
    b.add(o, Quantize(), b.inputs(o))


@tflite("DEQUANTIZE")
def tflite_dequantize(b: TfliteBuilder, o: TfliteOperator) -> None:
    """Of a constant (weights stored as float16 or int8), its numbers in float32."""
    x, y = b.tensor(o, 0), b.output(o)
    if x.data is None:
        b.add(o, Dequantize(), b.inputs(o))
        return
    real = x.data if x.quant is None else x.quant.dequantize(x.data)
    b.tensors[y.name] = replace(y, data=np.asarray(real, np.float32).reshape(y.shape))
