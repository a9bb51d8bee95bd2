"""Running sums and products."""

from lilliput.ops.cumulative.cumulative import CumProd as CumProd
from lilliput.ops.cumulative.cumulative import CumSum as CumSum
