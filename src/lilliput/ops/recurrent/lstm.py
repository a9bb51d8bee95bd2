"""Long short-term memory; gates in torch's order: input, forget, cell, output."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Graph, Quant, Shape
from lilliput.op import Example, Site, register
from lilliput.ops.recurrent import integer, kernels, tflm
from lilliput.ops.recurrent.activations import CODES, SIGMOID, TANH, Function
from lilliput.ops.recurrent.common import Recurrent, Step, walk


@register
@dataclass(frozen=True)
class Lstm(Recurrent):
    """i, f, o = F(W x + R h + b), g = G(..), c' = f c + i g, h' = o H(c'); ONNX LSTM, torch.nn.LSTM, TFLM's LSTM.

    With `peepholes` (a last operand [3 H]: input, forget, output) p c is added to the sums of i and f, and p c' to that
    of o. With `coupled` f is 1 - i (ONNX's input_forget). `cell_clip` bounds the cell itself, as TensorFlow Lite does;
    0 for no bound.
    """

    activations: tuple[Function, ...] = (SIGMOID, TANH, TANH)
    peepholes: bool = False
    coupled: bool = False
    cell_clip: float = 0.0

    name: ClassVar[str] = "lstm"
    gates: ClassVar[int] = 4
    functions: ClassVar[int] = 3
    biases: ClassVar[int] = 4
    states: ClassVar[Mapping[int, int]] = {4: 1, 5: 2}
    float_constants: ClassVar[tuple[int, ...]] = (3, 7)
    kernels = (*kernels.LSTM_TFLM, kernels.LSTM_S16, *kernels.LSTM_F32)

    @property
    def wanted(self) -> int:
        return self.lengths + 1 + self.peepholes

    def extra(self, hidden: int) -> dict[int, Shape]:
        return {self.lengths + 1: (3 * hidden,)} if self.peepholes else {}

    def check(self, site: Site) -> str | None:
        if not (np.isfinite(self.cell_clip) and self.cell_clip >= 0):
            return f"cell_clip is {self.cell_clip}, expected a number of at least 0"
        return super().check(site)

    def stepper(self, site: Site, *xs: Array) -> Step:
        _, w, r, b = xs[:4]
        k = self.hidden
        p = xs[self.lengths + 1] if self.peepholes else np.zeros(3 * k, np.float32)

        def step(x: Array, states: list[Array]) -> list[Array]:
            h, c = states
            i, f, g, o = np.split(x @ w.T + h @ r.T + b, 4, axis=1)
            i = self.gate(0, i + p[:k] * c)
            f = np.float32(1) - i if self.coupled else self.gate(0, f + p[k : 2 * k] * c)
            c = f * c + i * self.gate(1, g)
            if self.cell_clip:
                c = np.clip(c, -np.float32(self.cell_clip), np.float32(self.cell_clip))
            o = self.gate(0, o + p[2 * k :] * c)
            return [o * self.gate(2, c), c]

        return step

    def usual_functions(self) -> bool:
        return self.activations == (SIGMOID, TANH, TANH)

    def types(self, site: Site) -> str | None:
        return tflm.refuse(site, self) if tflm.is_tflm(site) else super().types(site)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        if not tflm.is_tflm(site):
            return super().run(site, *xs)
        states = [np.array(np.broadcast_to(xs[i], (len(xs[0]), self.hidden))) for i in self.states]
        step = tflm.stepper(site, self)
        zero = site.y.q.z
        return walk(xs[0], xs[self.lengths], states, step, reverse=self.reverse, last=self.last, zero=zero)

    def no_integers(self, site: Site) -> str | None:
        power = integer.power_of(site.outs[2].q)
        if power is None or not -15 <= power <= 0:
            return (
                f"the cell has scale {float(site.outs[2].q.s):.3g}, expected a power of two from 2^-15 to 1"
            )
        return "there is no integer form with peepholes" if self.peepholes else super().no_integers(site)

    def state_quants(self, ranges: Sequence[tuple[float, float]]) -> tuple[Quant, ...]:
        """The cell's covers twice its last values, and 8: on the way it may have been larger."""
        h, _ = super().state_quants(ranges)
        largest = max(abs(bound) for bound in ranges[2])
        bits = math.ceil(math.log2(max(2 * largest, 8.0)))
        return h, Quant.per_tensor(2.0 ** (bits - 15), 0)

    def integer_stepper(self, site: Site) -> Step:
        layer, power = integer.layer(site, self), integer.power_of(site.outs[2].q)
        assert power is not None
        shift = 15 + power
        lo, hi = self.cell_bounds(site)

        def step(x: Array, states: list[Array]) -> list[Array]:
            h, c = states
            i, f, g, o = np.split(layer.argument(layer.inputs(x) + layer.states(h)), 4, axis=1)
            i, g, o = integer.sigmoid(i), integer.tanh(g), integer.sigmoid(o)
            f = integer.ONE - i if self.coupled else integer.sigmoid(f)
            fresh = (i * g + (1 << shift >> 1)) >> shift
            c = np.clip((f * c + fresh + (1 << 14)) >> 15, lo, hi)
            return [integer.product(o, integer.tanh(c, power)), c]

        return step

    def cell_bounds(self, site: Site) -> tuple[int, int]:
        """The clip of the int16 cell in steps."""
        most = (
            min(round(self.cell_clip / float(site.outs[2].q.s)), integer.ONE - 1)
            if self.cell_clip
            else integer.ONE
        )
        return -most, min(most, integer.ONE - 1)

    def torch(self, site: Site, *xs: Any) -> Any:
        from lilliput.ops.recurrent import learn

        return learn.lstm(self, *xs)

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        rng = np.random.default_rng(23)
        for n, t, i, h, clip in ((1, 5, 3, 4, 0.0), (2, 6, 5, 7, 1.5)):
            for dtype in ("int8", "int16"):
                yield tflm.example(cls(hidden=h, cell_clip=clip), rng, n, t, i, dtype)
        yield from cls.usual(rng)
        yield cls.case(rng, 1, 5, 4, 7, "peepholes, state given", peepholes=True, state=True, integer=False)
        yield cls.case(rng, 1, 5, 4, 6, "coupled gates", coupled=True)
        yield cls.case(rng, 1, 9, 3, 4, "clipped cells", cell_clip=0.3)
        for name in CODES:
            functions = ((name, 0.3, 0.4), (name, 0.5, 0.6), (name, 0.7, 0.8))
            yield cls.case(
                rng, 1, 3, 2, 3, f"{name} everywhere", activations=functions, peepholes=True, integer=False
            )
