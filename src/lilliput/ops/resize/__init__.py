"""Resampling: planes resized with weights, sampled along grids, pooled over regions."""

from lilliput.ops.resize.bilinear import ResizeBilinear as ResizeBilinear
from lilliput.ops.resize.grid_sample import GridSample as GridSample
from lilliput.ops.resize.interpolate import Interpolate as Interpolate
