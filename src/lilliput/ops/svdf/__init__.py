"""Layers that keep a few steps of their features and filter them in time."""

from lilliput.ops.svdf.svdf import Svdf as Svdf
