"""Runs a .tflite model in the pinned `tflite-micro` wheel and reads every tensor: the outside oracle.

A model it refuses raises RuntimeError; but some parameters fail a check inside the library that ends the
process: ADD and SUB with 2 * max(s1, s2) / (2^20 * s_out) >= 1, SOFTMAX with beta * s_in * 2^26 <= 1 or 512
and more equal maxima in a row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tflite_micro.python.tflite_micro import runtime
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

_MIB = 1 << 20


class Tflm:
    """One interpreter that keeps all tensors; `run` may be called many times."""

    def __init__(self, model: bytes) -> None:
        self._graph = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0)).subgraphs[0]
        self._constant = {
            i for i, tensor in enumerate(self._graph.tensors) if _has_data(model, tensor.buffer)
        }
        # No tensor is reused, so the arena holds them all, each with alignment, plus the interpreter's own
        # records.
        sizes = [int(np.prod([max(n, 1) for n in _shape(t)])) * 8 + 1024 for t in self._graph.tensors]
        self._interpreter = runtime.Interpreter.from_bytes(
            model,
            arena_size=2 * sum(sizes) + 4 * _MIB,
            intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors,
        )

    def run(self, *xs: np.ndarray) -> dict[int, np.ndarray]:
        """Tensor index -> value for each tensor that is not a constant, after one inference on `xs`."""
        assert len(xs) == len(self._graph.inputs), f"{len(self._graph.inputs)} inputs, {len(xs)} given"
        for position, (x, index) in enumerate(zip(xs, self._graph.inputs, strict=True)):
            shape = _shape(self._graph.tensors[index])
            self._interpreter.set_input(np.ascontiguousarray(np.asarray(x).reshape(shape)), position)
        self._interpreter.invoke()
        # GetTensor returns a view of the arena: copy it before the next run overwrites it.
        return {i: np.array(self._read(i)) for i in self._used() if i not in self._constant}

    def _used(self) -> set[int]:
        """Tensors the interpreter allocates: graph inputs and what operators read or write."""
        used = {int(i) for i in self._graph.inputs}
        for operator in self._graph.operators:
            used.update(int(i) for i in (*operator.inputs, *operator.outputs) if i >= 0)
        return used

    def _read(self, index: int) -> np.ndarray:
        value = self._interpreter.GetTensor(index, 0)["tensor_data"]
        return np.asarray(value).reshape(_shape(self._graph.tensors[index]))


def run_all_tensors(model: bytes, xs: np.ndarray | Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """Tensor index -> value after one inference; `xs` is the only input, or the sequence of all inputs."""
    return Tflm(model).run(*([xs] if isinstance(xs, np.ndarray) else xs))


def _shape(tensor: schema.TensorT) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(int(n) for n in tensor.shape)


def _has_data(model: bytes, buffer: int) -> bool:
    table = schema.Model.GetRootAsModel(model, 0).Buffers(buffer)
    return bool(table.DataLength() or table.Size())
