"""What recurrent layers share: operands, shapes, the walk over the time steps, examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.errors import UserError
from lilliput.graph import Array, Quant, Shape, Tensor
from lilliput.op import Example, Op, Site
from lilliput.ops.recurrent import activations, integer
from lilliput.ops.recurrent.activations import Function

HERE = Path(__file__).parent
X, W, R, B = range(4)
"""Indices of the operands that all have: input, input weights, recurrent weights, bias. The initial states follow,
then the lengths."""


@dataclass(frozen=True)
class Recurrent(Op):
    """One direction of one recurrent layer over the steps of its input.

    Operands: x [N, T, I]; constant weights w [G H, I] and r [G H, H], a constant bias; the initial states [N, H]; the
    lengths of the sequences [N], int32, in 0..T. x is stored with the samples first, as every other tensor, so that
    the reference takes a batch along dimension 0; with one sample [T, 1, I] is the same storage.

    Results: y, the hidden state after every step [N, T, H], zero behind the end of a sequence, or with `last` after
    the last one [N, H]; then the states that a next call would start from, each [N, H].

    With `reverse` a sequence is read from its end; y keeps the order of x. `clip` bounds what goes into the activation
    functions to -clip..clip, 0 for no bound.
    """

    hidden: int = 1
    reverse: bool = False
    last: bool = False
    clip: float = 0.0
    activations: tuple[Function, ...] = ()

    gates: ClassVar[int]
    functions: ClassVar[int]
    """How many activation functions it has."""
    biases: ClassVar[int]
    """How many bias vectors of H elements."""
    states: ClassVar[Mapping[int, int]]
    operands: ClassVar[int | None] = None
    weights: ClassVar[Mapping[int, int]] = {W: 0, R: 0}
    float_constants: ClassVar[tuple[int, ...]] = (B,)

    @property
    def lengths(self) -> int:
        """The index of the operand that holds the sequences' lengths."""
        return B + 1 + len(self.states)

    @property
    def wanted(self) -> int:
        """How many operands it has."""
        return self.lengths + 1

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        if len(ins) != self.wanted:
            raise UserError(f"{self.name} has {len(ins)} operands, expected {self.wanted}")
        if len(ins[X].shape) != 3:
            raise UserError(f"{self.name} reads [samples, steps, features], found the shape {ins[X].shape}")
        n, t, _ = ins[X].shape
        state = (n, self.hidden)
        return (state if self.last else (n, t, self.hidden), *(state for _ in self.states))

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        return "float32"

    def check(self, site: Site) -> str | None:
        if reason := activations.unknown(self.activations, self.functions):
            return reason
        if not (np.isfinite(self.clip) and self.clip >= 0):
            return f"clip is {self.clip}, expected a number of at least 0"
        n, _, i = site.x.shape
        h = self.hidden
        wanted = {W: (self.gates * h, i), R: (self.gates * h, h), B: (self.biases * h,)}
        wanted |= dict.fromkeys(self.states, (n, h)) | {self.lengths: (n,)} | self.extra(h)
        for index, shape in wanted.items():
            if site.ins[index].shape != shape:
                return f"operand {index} has the shape {site.ins[index].shape}, expected {shape}"
        for index in (W, R, B, *self.extra(h)):
            if not site.ins[index].constant:
                return f"operand {index} is computed at run time; weights and biases must be constants"
        if site.ins[self.lengths].dtype != "int32":
            return f"the lengths are {site.ins[self.lengths].dtype}, expected int32"
        return self.types(site)

    def extra(self, hidden: int) -> dict[int, Shape]:
        """Further constants and their shapes."""
        return {}

    def types(self, site: Site) -> str | None:
        """Why operands of these types are not accepted, or None."""
        found = [t.dtype for t in (*site.ins[: self.lengths], *site.outs)]
        if site.integer:
            return integer.state_types(site, self.states) or self.no_integers(site)
        if set(found) != {"float32"}:
            return f"operands and results are {', '.join(found)}; all must be float32, or the result int8"
        return None

    def no_integers(self, site: Site) -> str | None:
        """Why this layer has no integer form, or None."""
        if not self.usual_functions():
            names = ", ".join(name for name, _, _ in self.activations)
            return f"there is no integer form with the functions {names}"
        if self.sum_scale(site) == integer.GATE and integer.power_of(site.outs[1].q) != -15:
            return f"the state has scale {float(site.outs[1].q.s):.3g}, expected 2^-15"
        return integer.overflow(site, self.sum_scale(site), self.sum_bias(integer.constant(site.ins[B])))

    def usual_functions(self) -> bool:
        """Whether the activation functions have an integer form."""
        raise NotImplementedError

    def sum_scale(self, site: Site) -> float:
        """The scale of the integer sums: a gate's argument."""
        return integer.GATE

    def sum_bias(self, b: Array) -> Array:
        """The real bias of the integer sums, from the operand."""
        return b

    def state_quants(self, ranges: Sequence[tuple[float, float]]) -> tuple[Quant, ...]:
        """The quantization of the int16 states, from the float ranges of the results (y first)."""
        return (Quant.per_tensor(integer.UNIT, 0),) * len(self.states)

    def last_step(self, site: Site, *, read: bool) -> Op | None:
        """Backwards the last step of x is the first one taken; and behind the end of a sequence there is nothing."""
        ends = site.ins[self.lengths].data
        whole = ends is not None and bool((ends >= site.x.shape[1]).all())
        if self.last or (read and (self.reverse or not whole)):
            return None
        return replace(self, last=True)

    def batchable(self, site: Site) -> bool:
        return site.x.shape[0] == 1

    def macs(self, site: Site) -> int:
        n, t, i = site.x.shape
        return n * t * self.gates * self.hidden * (i + self.hidden)

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        states = [np.array(np.broadcast_to(xs[i], (len(xs[X]), self.hidden))) for i in self.states]
        if site.integer:
            step = integer.stepping(self.integer_stepper(site))
            return walk(
                xs[X],
                xs[self.lengths],
                states,
                step,
                reverse=self.reverse,
                last=self.last,
                result=lambda h: integer.shown(site, h),
                zero=site.y.q.z,
            )
        step = self.stepper(site, *xs)
        return walk(xs[X], xs[self.lengths], states, step, reverse=self.reverse, last=self.last)

    def stepper(self, site: Site, *xs: Array) -> Step:
        """One step in float32: (input [N, I], states [N, H]) -> states."""
        raise NotImplementedError

    def integer_stepper(self, site: Site) -> Step:
        """One step in integers, in int64."""
        raise NotImplementedError

    def gate(self, i: int, x: Array) -> Array:
        """The i-th activation function of a float32 sum."""
        return activations.apply(self.activations[i], np.clip(x, -self.clip, self.clip) if self.clip else x)

    @classmethod
    def case(
        cls, rng: np.random.Generator, n: int, t: int, i: int, h: int, why: str, **attributes: Any
    ) -> Example:
        """An example with random weights; `lengths` of the sequences, and whether a `state` to start from is given."""
        lengths = attributes.pop("lengths", [t] * n)
        given = attributes.pop("state", False)
        integer = attributes.pop("integer", True)
        op = replace(cls(), hidden=h, **attributes)

        def normal(*shape: int) -> Array:
            return np.asarray(rng.normal(0, 0.8 / np.sqrt(shape[-1]), shape), np.float32)

        states: list[Shape | Array] = [(n, h) if given else np.zeros((n, h), np.float32) for _ in cls.states]
        ins: list[Shape | Array | Tensor] = [(n, t, i), normal(op.gates * h, i), normal(op.gates * h, h)]
        ins += [
            np.asarray(rng.normal(0, 0.3, op.biases * h), np.float32),
            *states,
            np.array(lengths, np.int32),
        ]
        ins += [normal(*shape) for shape in op.extra(h).values()]
        return Example(op, tuple(ins), seed=len(why), why=why, integer=integer)

    @classmethod
    def usual(cls, rng: np.random.Generator) -> Iterator[Example]:
        """The cases that every recurrent operator has."""
        yield cls.case(rng, 1, 5, 3, 4, "a few steps")
        yield cls.case(rng, 1, 1, 1, 1, "one of everything")
        yield cls.case(rng, 1, 7, 6, 9, "odd sizes, backwards, state given", reverse=True, state=True)
        yield cls.case(rng, 3, 4, 5, 3, "three samples of different lengths", lengths=[4, 0, 2], state=True)
        yield cls.case(rng, 2, 4, 5, 3, "of different lengths, backwards", lengths=[3, 4], reverse=True)
        yield cls.case(rng, 1, 6, 4, 8, "only the last state", last=True)
        yield cls.case(rng, 2, 6, 4, 5, "the last state of sequences", last=True, lengths=[2, 6])
        yield cls.case(rng, 1, 4, 4, 5, "clipped sums", clip=0.6, integer=False)

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        if len(shape) != 3:
            return None
        reverse, last = bool(rng.random() < 0.3), bool(rng.random() < 0.3)
        return cls.case(rng, *shape, int(rng.integers(1, 12)), "", reverse=reverse, last=last)


Step = Callable[[Array, list[Array]], list[Array]]


def walk(
    x: Array,
    lengths: Array,
    states: list[Array],
    step: Step,
    *,
    reverse: bool,
    last: bool,
    result: Callable[[Array], Array] = lambda h: h,
    zero: int = 0,
) -> tuple[Array, ...]:
    """The result and the final states of a sequence of steps, for N samples; past its end the states stand still.

    `result` makes a result of the first state; `zero` is what it holds behind the end of a sequence.
    """
    n, t, _ = x.shape
    ends = np.broadcast_to(np.clip(lengths, 0, t), n)
    rows = np.arange(n)
    now = result(states[0])
    y = np.full((n, t, now.shape[1]), zero, now.dtype)
    for k in range(t):
        at = np.maximum(ends - 1 - k, 0) if reverse else np.full(n, k)
        active = k < ends
        new = step(x[rows, at], states)
        states = [np.where(active[:, None], b, a) for a, b in zip(states, new, strict=True)]
        now = result(states[0])
        y[rows[active], at[active]] = now[active]
    return (now if last else y, *states)
