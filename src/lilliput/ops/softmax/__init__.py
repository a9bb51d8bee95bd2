"""Softmax over the last axis."""

from lilliput.ops.softmax.softmax import Softmax as Softmax
