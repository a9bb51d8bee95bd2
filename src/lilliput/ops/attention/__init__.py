"""Attention: scaled dot products are made of matrix products and softmax; linear attention keeps a matrix."""

from lilliput.ops.attention.linear import LinearAttention as LinearAttention
from lilliput.ops.attention.masked import MaskedSoftmax as MaskedSoftmax
