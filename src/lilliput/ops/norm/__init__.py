"""Normalization: with fixed statistics, and by the statistics of the input itself."""

from lilliput.ops.norm.batch_norm import BatchNorm as BatchNorm
from lilliput.ops.norm.lp_norm import LpNorm as LpNorm
from lilliput.ops.norm.lrn import LocalResponseNorm as LocalResponseNorm
from lilliput.ops.norm.normalize import GroupNorm as GroupNorm
from lilliput.ops.norm.normalize import LayerNorm as LayerNorm
from lilliput.ops.norm.normalize import RmsNorm as RmsNorm
