"""Reductions along axes: the mean, and the index of the greatest."""

from lilliput.ops.reduce.argmax import ArgMax as ArgMax
from lilliput.ops.reduce.mean import Mean as Mean
