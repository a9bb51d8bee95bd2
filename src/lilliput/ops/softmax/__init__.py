"""Softmax over the last axis, its logarithm, and the hard one."""

from lilliput.ops.softmax.hardmax import Hardmax as Hardmax
from lilliput.ops.softmax.log_softmax import LogSoftmax as LogSoftmax
from lilliput.ops.softmax.softmax import Softmax as Softmax
