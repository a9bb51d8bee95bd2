"""Maximum and average over a sliding window of a plane."""

from lilliput.ops.pool.index import MaxIndex2d as MaxIndex2d
from lilliput.ops.pool.pool2d import AvgPool2d as AvgPool2d
from lilliput.ops.pool.pool2d import MaxPool2d as MaxPool2d
