"""Operators that select: the largest values, one of many classes, triangles of matrices, reversed sequences."""

from lilliput.ops.select.one_hot import OneHot as OneHot
from lilliput.ops.select.reverse_sequence import ReverseSequence as ReverseSequence
from lilliput.ops.select.topk import TopK as TopK
from lilliput.ops.select.triangle import Triangle as Triangle
