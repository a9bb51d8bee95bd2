"""Post-training quantization to TensorFlow Lite's int8 specification."""

from lilliput.quantize.calibrate import calibrate as calibrate
from lilliput.quantize.ptq import quantize as quantize
