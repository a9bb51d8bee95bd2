"""Gated recurrent unit; gates in torch's order: reset, update, new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array
from lilliput.op import Example, Site, register
from lilliput.ops.recurrent import integer, kernels
from lilliput.ops.recurrent.activations import SIGMOID, TANH, Function
from lilliput.ops.recurrent.common import Recurrent, Step


@register
@dataclass(frozen=True)
class Gru(Recurrent):
    """r = f(Wr x + Rr h + br), z = f(Wz x + Rz h + bz), n = g(..), h' = (1 - z) n + z h; ONNX GRU, torch.nn.GRU.

    The argument of g is Wn x + bn + r (Rn h + dn) with `linear_before_reset` (torch), else Wn x + bn + Rn (r h) + dn.
    The bias holds br, bz, bn, dn.
    """

    activations: tuple[Function, ...] = (SIGMOID, TANH)
    linear_before_reset: bool = True

    name: ClassVar[str] = "gru"
    gates: ClassVar[int] = 3
    functions: ClassVar[int] = 2
    biases: ClassVar[int] = 4
    states: ClassVar[Mapping[int, int]] = {4: 1}
    kernels = (kernels.GRU_S16, *kernels.GRU_F32)

    def stepper(self, site: Site, *xs: Array) -> Step:
        _, w, r, b, *_ = xs
        k = self.hidden

        def step(x: Array, states: list[Array]) -> list[Array]:
            (h,) = states
            px = x @ w.T + b[: 3 * k]
            ph = h @ r[: 2 * k].T
            reset = self.gate(0, px[:, :k] + ph[:, :k])
            z = self.gate(0, px[:, k : 2 * k] + ph[:, k:])
            rn, d = r[2 * k :].T, b[3 * k :]
            inner = reset * (h @ rn + d) if self.linear_before_reset else (reset * h) @ rn + d
            new = self.gate(1, px[:, 2 * k :] + inner)
            return [(np.float32(1) - z) * new + z * h]

        return step

    def usual_functions(self) -> bool:
        return self.activations == (SIGMOID, TANH)

    def sum_bias(self, b: Array) -> Array:
        k = self.hidden
        return b if self.linear_before_reset else np.concatenate([b[: 2 * k], b[2 * k : 3 * k] + b[3 * k :]])

    def integer_stepper(self, site: Site) -> Step:
        layer, k = integer.layer(site, self), self.hidden
        d = layer.sums.b[3 * k :].astype(np.int64) * layer.sums.mb
        gates, new_rows = slice(0, 2 * k), slice(2 * k, 3 * k)

        def step(x: Array, states: list[Array]) -> list[Array]:
            (h,) = states
            px = layer.inputs(x)
            both = integer.sigmoid(layer.argument(px[:, gates] + layer.states(h, gates)))
            r, z = both[:, :k], both[:, k:]
            if self.linear_before_reset:
                inner = integer.clamp16(layer.whole(layer.states(h, new_rows) + d))
                a = integer.clamp16(layer.whole(px[:, new_rows])) + integer.product(r, inner)
                a = np.clip(a, *layer.bounds)
            else:
                a = layer.argument(px[:, new_rows] + layer.states(integer.product(r, h), new_rows))
            return [((integer.ONE - z) * integer.tanh(a) + z * h + (1 << 14)) >> 15]

        return step

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.recurrent import learn

        return learn.gru(self, *xs)

    @classmethod
    def examples(cls) -> Iterator[Example]:
        rng = np.random.default_rng(22)
        yield from cls.usual(rng)
        yield cls.case(rng, 1, 5, 4, 7, "reset before the product", linear_before_reset=False, state=True)
        other = (("softsign", 0.0, 0.0), ("elu", 0.7, 0.0))
        yield cls.case(rng, 1, 4, 3, 5, "other functions", activations=other, integer=False)
