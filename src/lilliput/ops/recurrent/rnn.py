"""Simple recurrent layer: h' = f(W x + R h + b)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Quant
from lilliput.op import Example, Site, register
from lilliput.ops.recurrent import integer, kernels
from lilliput.ops.recurrent.activations import RELU, TANH, Function
from lilliput.ops.recurrent.common import Recurrent, Step


@register
@dataclass(frozen=True)
class Rnn(Recurrent):
    """Elman's layer, one activation function, biases added up; ONNX RNN, torch.nn.RNN."""

    activations: tuple[Function, ...] = (TANH,)

    name: ClassVar[str] = "rnn"
    gates: ClassVar[int] = 1
    functions: ClassVar[int] = 1
    biases: ClassVar[int] = 1
    states: ClassVar[Mapping[int, int]] = {4: 1}
    kernels = (kernels.RNN_S16, *kernels.RNN_F32)

    def stepper(self, site: Site, *xs: Array) -> Step:
        _, w, r, b, *_ = xs
        return lambda x, states: [self.gate(0, x @ w.T + states[0] @ r.T + b)]

    def usual_functions(self) -> bool:
        return self.activations in ((TANH,), (RELU,))

    def sum_scale(self, site: Site) -> float:
        """With ReLU the sums are the state itself."""
        return integer.GATE if self.activations == (TANH,) else float(site.outs[1].q.s)

    def state_quants(self, ranges: Sequence[tuple[float, float]]) -> tuple[Quant, ...]:
        if self.activations == (TANH,):
            return super().state_quants(ranges)
        largest = max(abs(bound) for pair in ranges for bound in pair)
        return (Quant.per_tensor(2.0 ** (math.ceil(math.log2(max(largest, 2.0**-10))) - 15), 0),)

    def integer_stepper(self, site: Site) -> Step:
        layer, relu = integer.layer(site, self), self.activations == (RELU,)

        def step(x: Array, states: list[Array]) -> list[Array]:
            a = layer.argument(layer.inputs(x) + layer.states(states[0]))
            return [np.maximum(a, 0) if relu else integer.tanh(a)]

        return step

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.recurrent import learn

        return learn.rnn(self, *xs)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        rng = np.random.default_rng(21)
        yield from cls.usual(rng)
        yield cls.case(rng, 1, 5, 4, 5, "ReLU", activations=(RELU,), clip=2.0)
