"""How ATen's and TensorFlow Lite's operators with indices become ours."""

from lilliput.ops.index import from_tflite as from_tflite
from lilliput.ops.index import from_torch as from_torch
