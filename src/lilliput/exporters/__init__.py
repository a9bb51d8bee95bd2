"""Writing graphs in other tools' formats."""

from __future__ import annotations

from collections.abc import Callable

from lilliput.exporters.onnx import export_onnx as export_onnx
from lilliput.exporters.tflite import export_tflite as export_tflite
from lilliput.graph import Graph

FORMATS: dict[str, Callable[[Graph], bytes]] = {"tflite": export_tflite, "onnx": export_onnx}
"""Format -> what writes it."""
