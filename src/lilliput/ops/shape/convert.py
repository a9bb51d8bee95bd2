"""How foreign data movement becomes ours; importing this registers both halves."""

from lilliput.ops.shape import from_tflite as from_tflite
from lilliput.ops.shape import from_torch as from_torch
from lilliput.ops.shape import tflite_blocks as tflite_blocks
from lilliput.ops.shape import tflite_constants as tflite_constants
