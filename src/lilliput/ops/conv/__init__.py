"""Convolution, depthwise convolution and linear layers: one family, for they share their inner loops."""

from lilliput.ops.conv.conv2d import Conv2d as Conv2d
from lilliput.ops.conv.depthwise import DepthwiseConv2d as DepthwiseConv2d
from lilliput.ops.conv.linear import Linear as Linear
from lilliput.ops.conv.transposed import ConvTranspose2d as ConvTranspose2d
