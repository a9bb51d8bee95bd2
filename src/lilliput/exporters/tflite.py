"""Graph -> TensorFlow Lite: a .tflite file that TFLM and LiteRT run with equal results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.exporters.registry import tflite_writers
from lilliput.exporters.tflite_file import FileOperator, FileTensor, write_tflite
from lilliput.fixed import Clamp
from lilliput.graph import Array, Graph, Quant, Tensor
from lilliput.importers.tflite import ACTIVATIONS, same_padding
from lilliput.op import Site
from lilliput.version import __version__

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]
FILE_TYPES = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")


@dataclass
class TfliteWriter:
    """What the operators' writers use: tensors by name, constants, and `operator`."""

    graph: Graph
    tensors: list[FileTensor] = field(default_factory=list)
    operators: list[FileOperator] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    where: str = ""

    def tensor(self, t: Tensor) -> int:
        """The file's index of a tensor of the graph."""
        if t.name not in self.index:
            if t.dtype not in FILE_TYPES:
                raise UserError(f"{self.where}: TensorFlow Lite has no tensors of type {t.dtype} here")
            if t.dtype in ("int8", "int16") and t.quant is None:
                raise self.refuse(
                    f"'{t.name}' is {t.dtype} without a scale, integers that stand for themselves"
                )
            self.index[t.name] = len(self.tensors)
            self.tensors.append(FileTensor(t.name, t.shape, t.dtype, t.quant, t.data))
        return self.index[t.name]

    def constant(self, data: Array, quant: Quant | None = None) -> int:
        """A new constant of the file."""
        name = f"constant_{len(self.tensors)}"
        self.tensors.append(FileTensor(name, data.shape, str(data.dtype), quant, data))
        return len(self.tensors) - 1

    def ints(self, values: Sequence[int]) -> int:
        """A constant int32 vector: shapes, axes, widths."""
        return self.constant(np.asarray(values, np.int32))

    def between(self, like: Tensor, shape: tuple[int, ...]) -> int:
        """A new tensor of another shape between two operators of the file."""
        name = f"between_{len(self.tensors)}"
        self.tensors.append(FileTensor(name, shape, like.dtype, like.quant))
        return len(self.tensors) - 1

    def operator(self, op: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> None:
        self.operators.append(FileOperator(op, tuple(inputs), tuple(outputs), options))

    def plain(self, op: str, site: Site, **options: Any) -> None:
        """An operator with the inputs and outputs of ours."""
        self.operator(op, [self.tensor(t) for t in site.ins], [self.tensor(t) for t in site.outs], **options)

    def activation(self, clamp: Clamp) -> str:
        """The fused activation that a clamp is."""
        for name, bounds in ACTIVATIONS.items():
            if bounds == clamp:
                return name
        raise UserError(f"{self.where}: TensorFlow Lite has no activation that clamps to {clamp}")

    def padded(
        self, x: Tensor, window: Pair, stride: Pair, dilation: Pair, padding: Padding
    ) -> tuple[int, str]:
        """The input and the padding's name; where it is neither SAME nor VALID, a PAD comes before."""
        if not any(map(any, padding)):
            return self.tensor(x), "VALID"
        geometry = zip(x.shape[1:3], window, stride, dilation, strict=True)
        if padding == tuple(same_padding(*each) for each in geometry):
            return self.tensor(x), "SAME"
        (top, bottom), (left, right) = padding
        n, h, w, c = x.shape
        widths = self.constant(np.array([(0, 0), (top, bottom), (left, right), (0, 0)], np.int32))
        wide = self.between(x, (n, h + top + bottom, w + left + right, c))
        self.operator("PAD", [self.tensor(x), widths], [wide])
        return wide, "VALID"

    def refuse(self, why: str) -> UserError:
        return UserError(f"{self.where} cannot be written to TensorFlow Lite: {why}")


def export_tflite(graph: Graph) -> bytes:
    """The bytes of the .tflite file. UserError names the first layer that the format has no operator for."""
    w = TfliteWriter(graph)
    inputs = [w.tensor(graph.tensors[name]) for name in graph.inputs]
    for site in graph.sites():
        w.where = f"layer '{site.name}' ({site.op.name})"
        writer = tflite_writers().get(type(site.op))
        if writer is None:
            known = ", ".join(sorted(op.name for op in tflite_writers()))
            raise w.refuse(f"no operator of the format is known for it. Known: {known}")
        writer(w, site)
    outputs = [w.tensor(graph.tensors[name]) for name in graph.outputs]
    tensors = [replace(t, name=f"t{i}") for i, t in enumerate(w.tensors)]
    return write_tflite(tensors, w.operators, inputs, outputs, f"Lilliput {__version__}")
