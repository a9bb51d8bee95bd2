"""Reductions along axes: sums, means, norms, extremes, spreads, and the index of the greatest or least."""

from lilliput.ops.reduce.argmax import ArgMax as ArgMax
from lilliput.ops.reduce.argmax import ArgMin as ArgMin
from lilliput.ops.reduce.mean import Mean as Mean
from lilliput.ops.reduce.reductions import ReduceL1 as ReduceL1
from lilliput.ops.reduce.reductions import ReduceL2 as ReduceL2
from lilliput.ops.reduce.reductions import ReduceMax as ReduceMax
from lilliput.ops.reduce.reductions import ReduceMin as ReduceMin
from lilliput.ops.reduce.reductions import ReduceProd as ReduceProd
from lilliput.ops.reduce.reductions import ReduceSum as ReduceSum
from lilliput.ops.reduce.reductions import ReduceSumSquare as ReduceSumSquare
from lilliput.ops.reduce.two_pass import Deviation as Deviation
from lilliput.ops.reduce.two_pass import InverseDeviation as InverseDeviation
from lilliput.ops.reduce.two_pass import ReduceLogSumExp as ReduceLogSumExp
from lilliput.ops.reduce.two_pass import Variance as Variance
