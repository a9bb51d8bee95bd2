"""Data movement: operators that copy or rename elements and never compute."""

from lilliput.ops.shape.broadcast import Broadcast as Broadcast
from lilliput.ops.shape.concat import Concat as Concat
from lilliput.ops.shape.pad import Pad as Pad
from lilliput.ops.shape.reshape import Reshape as Reshape
from lilliput.ops.shape.resize import ResizeNearest as ResizeNearest
from lilliput.ops.shape.slice import Slice as Slice
from lilliput.ops.shape.transpose import Transpose as Transpose
