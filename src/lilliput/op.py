"""What an operator is (attributes, traits, reference, kernels) and the registry that everything else asks."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from lilliput.graph import Array, Graph, Quant, Shape, Tensor
from lilliput.interval import Interval, channels_of
from lilliput.links import Links, Mixing, one_to_one

Params = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Site:
    """An operator at its place in a graph: attributes plus the tensors it reads and writes."""

    op: Op
    ins: tuple[Tensor, ...]
    outs: tuple[Tensor, ...]
    name: str = ""

    @property
    def x(self) -> Tensor:
        return self.ins[0]

    @property
    def y(self) -> Tensor:
        return self.outs[0]

    @property
    def integer(self) -> bool:
        """True when the result is computed in integers."""
        return self.outs[0].dtype != "float32"


@dataclass(frozen=True)
class Rows:
    """How a row kernel walks: `taps` input rows, `stride` and `dilation` apart, `pad` rows above the first.

    Pitches are in bytes. A row outside the input is one shared row of `pad_length` elements of `pad_value`,
    or a null pointer when `pad_value` is None.
    """

    in_rows: int
    in_pitch: int
    out_rows: int
    out_pitch: int
    taps: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0
    pad_value: int | float | None = None
    pad_length: int = 0
    dtype: str = "int8"
    batches: int = 1
    """How many planes lie one behind the other, in the input and in the result."""

    @property
    def padded(self) -> bool:
        last = (self.out_rows - 1) * self.stride + (self.taps - 1) * self.dilation - self.pad
        return self.pad > 0 or last >= self.in_rows


def _zero(site: Site) -> int:
    return 0


def _none(site: Site) -> tuple[int, ...]:
    return ()


@dataclass(frozen=True)
class Kernel:
    """One C implementation of an operator: `source` (NAME.c) defines NAME_t and NAME.

    `when` says whether it may be used; `params` gives the fields of NAME_t (integers, floats, constant arrays);
    `rows` gives the schedule of a row kernel, None for the plain form; `scratch` is in bytes; `in_place` lists the
    inputs whose storage the output may take over; `variadic` kernels take their inputs as one array of pointers.

    A *generic* kernel has `tokens`, words of its source that stand for something else in each instance:
    {"T": "int32_t"}. It calls itself KERNEL. A *rendered* kernel is a jinja template (NAME.c.j2) that `params` and
    `name` turn into one function per layer, without a parameter struct: for code that is data, such as if/else trees.
    """

    source: Path
    when: Callable[[Site], bool]
    params: Callable[[Site], Params]
    rows: Callable[[Site], Rows] | None = None
    scratch: Callable[[Site], int] = _zero
    in_place: Callable[[Site], tuple[int, ...]] = _none
    isa: frozenset[str] = frozenset()
    variadic: bool = False
    reads: tuple[int, ...] | None = None
    """The inputs that are passed as pointers, the others being packed by `params`; None: all but the constants."""
    tokens: Mapping[str, str] = field(default_factory=dict)
    overlap: Callable[[Site], int | None] | None = None
    """How many bytes after the first input's beginning the result may begin while both share memory (types.Overlaps);
    for kernels of one long row, which have read all of the input that lies below what they write next. None: as `rows`
    tells."""
    flash: Callable[[Site], int] | None = None
    """Estimated bytes of its code and constants, where the kernels of an operator differ enough to choose by them."""

    @property
    def name(self) -> str:
        return "_".join(
            [self.source.name.split(".")[0], *(v.removesuffix("_t") for v in self.tokens.values())]
        )

    @property
    def rendered(self) -> bool:
        return self.source.suffix == ".j2"

    def text(self) -> str:
        """The C of the kernel: its source with the tokens replaced."""
        source = self.source.read_text()
        if not self.tokens:
            return source
        words = {"KERNEL": self.name, **self.tokens}
        return re.sub(rf"\b({'|'.join(words)})(?=_[a-z]|\b)", lambda found: words[found[1]], source)


QuantRule = Literal["calibrate", "like input"]
Nan = Literal["refused", "passed on", "understood"]
Limits = tuple[float, float]
"""The least and the greatest of real values."""


@dataclass(frozen=True)
class Op:
    """Base of all operators. A subclass is a frozen dataclass of attributes in `ops/<family>/`."""

    name: ClassVar[str]
    kernels: ClassVar[tuple[Kernel, ...]] = ()
    """From the fastest to the simplest; the last ones are the portable references."""

    operands: ClassVar[int | None] = 1
    """How many inputs it has; None: any number."""

    # Traits: what passes ask instead of the operator's name.
    view: ClassVar[bool] = False
    """The output is the input's storage under another shape: no code."""
    elementwise: ClassVar[bool] = False
    """One output element per input element, in the same place."""
    row_by_row: ClassVar[bool] = False
    """Where operands have the result's shape, each of its rows is computed from the same rows of theirs."""
    fuses_clamp: ClassVar[bool] = False
    """Has a `clamp: tuple[float, float] | None` attribute applied to its result."""
    folds_affine: ClassVar[bool] = False
    """A per-channel scale and offset of its output can go into its weights and bias."""
    whole_windows: ClassVar[bool] = True
    """Each result uses all weights of its channel, unless padding takes the place of some inputs."""
    folds_pad: ClassVar[bool] = False
    """Has `padding: ((top, bottom), (left, right))` that pads with real zero."""
    weights: ClassVar[Mapping[int, int]] = {}
    """Input index -> channel axis of the constants that are quantized per channel, symmetrically."""
    feature_weights: ClassVar[int | None] = None
    """Index of constant weights [out, features] that multiply the input's last axis."""
    bias: ClassVar[int | None] = None
    """Index of the int32 bias, whose scale is input scale x weight scale."""
    out_quant: ClassVar[Quant | QuantRule] = "calibrate"
    """How the result is quantized: calibrated, with the input's parameters, or fixed."""
    same_quant_inputs: ClassVar[bool] = False
    """All inputs share the output's quantization (concatenation)."""
    plain_integers: ClassVar[bool] = False
    """Takes int8 and int16 tensors without quantization: integers that stand for themselves."""
    float_constants: ClassVar[tuple[int, ...]] = ()
    """Inputs that stay float32 constants when the operator is quantized; the kernels' `params` pack them."""
    states: ClassVar[Mapping[int, int]] = {}
    """Input index -> result index of what can be carried from call to call; int16 when the operator is quantized."""

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        """The shapes of the results."""
        raise NotImplementedError

    def result_dtype(self, ins: Sequence[Tensor]) -> str:
        """The type of the results, where all have one."""
        return ins[0].dtype

    def result_dtypes(self, ins: Sequence[Tensor]) -> tuple[str, ...]:
        """The types of the results."""
        return (self.result_dtype(ins),) * len(self.infer(ins))

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        """The numpy reference: float32, or exact integers. Leading dimension may be a batch (see `batchable`)."""
        raise NotImplementedError

    def check(self, site: Site) -> str | None:
        """Why these operands are not accepted, or None."""
        return None

    def batchable(self, site: Site) -> bool:
        """Whether `run` may take N samples at once along dimension 0."""
        return True

    def as_clamp(self) -> tuple[float, float] | None:
        """The bounds, when this operator is nothing but a clamp of real values."""
        return None

    def as_affine(self, site: Site) -> tuple[Array, Array] | None:
        """(scale, offset) along the last axis, when this operator is x * scale + offset with constants."""
        return None

    def as_padding(self, site: Site) -> tuple[tuple[int, int], ...] | None:
        """(before, after) of every axis, when this operator pads with real zero."""
        return None

    def as_permutation(self) -> tuple[int, ...] | None:
        """The input's axes in the order of the result's, when this operator only transposes."""
        return None

    def least_scale(self, scales: Sequence[float]) -> float:
        """The smallest scale an int8 result may have when its operands have these."""
        return 0.0

    def reach(self) -> float | None:
        """How far below the greatest of its row, the last axis, a value of the first input may lie and still count.

        None: as far as it may.
        """
        return None

    def nan(self) -> Nan:
        """What becomes of a NaN among the real values that it reads."""
        return "passed on" if self.view or self.as_permutation() is not None else "refused"

    def operand_limits(self, limits: Limits, ranges: Sequence[Limits]) -> tuple[Limits, ...] | None:
        """For each input bounds that may cut it off as long as `limits` cut the result off; None: there are no such.

        `ranges` are those of the inputs.
        """
        moves = self.view or self.out_quant == "like input" or self.same_quant_inputs
        return (limits,) * len(ranges) if moves else None

    def bounds(self, site: Site, ins: Sequence[Interval]) -> tuple[Interval, ...]:
        """Between which integers the results lie when the inputs lie within `ins`; float32 is not bounded."""
        return tuple(Interval.of(t) for t in site.outs)

    def accumulator_bounds(self, site: Site, x: Interval) -> Interval | None:
        """Per output channel, the sums of bias and weight * (x - zero point) before they are scaled; None: no such."""
        return None

    def channel_links(self, site: Site) -> Links | None:
        """For each input which channels go with which of the only result; None: nothing can be removed."""
        if not self.elementwise:
            return None
        return (one_to_one(channels_of(site.x.shape)), *(None for _ in site.ins[1:]))

    def with_channels(self, site: Site, channels: int) -> Op:
        """The operator whose result has so many channels, where `channel_links` let some go."""
        return self

    def mixing(self, site: Site) -> Mixing | None:
        """How output channels weigh those of the first input, where integers are summed; None: not like that."""
        return None

    def trimmed(self, site: Site) -> tuple[Op, Array] | None:
        """The same with a smaller window, and its weights, where taps at the edges count for nothing; else None."""
        return None

    def state_quants(self, ranges: Sequence[tuple[float, float]]) -> tuple[Quant, ...]:
        """How the integer `states` are quantized, from the ranges of the float results."""
        return ()

    def last_step(self, site: Site, *, read: bool) -> Op | None:
        """The operator whose first result [N, T, H] is only its state after the last step [N, H]; None: no such.

        `read` says that the results of steps are read: then that state must be what stands in the last place.
        """
        return None

    def macs(self, site: Site) -> int:
        """Multiply-accumulates of one run."""
        return 0

    def torch(self, site: Site, *xs: Any) -> Any:
        """The differentiable form on torch tensors of the same layout."""
        raise NotImplementedError

    @classmethod
    def examples(cls) -> Iterator[Example | Graph]:
        """Small cases for the tests: every kernel meets every one it accepts, on every core.

        A whole graph where a shape cannot say it all (an operator between float32 and int8).
        """
        yield from ()

    @classmethod
    def sample(cls, rng: np.random.Generator, shape: Shape) -> Example | None:
        """A random case whose first input has `shape`, for random graphs; None where the operator cannot take it."""
        return None

    def __str__(self) -> str:
        given = (f"{f.name}={getattr(self, f.name)}" for f in dataclasses.fields(self))
        return " ".join([self.name, *given])


@dataclass(frozen=True)
class Example:
    """One test case: shapes are float32 inputs, tensors inputs of other types, arrays constants.

    For int8 the ranges are drawn from `seed`.
    """

    op: Op
    ins: tuple[Shape | Array | Tensor, ...]
    seed: int = 0
    why: str = ""
    integer: bool = True
    """Whether the case also exists in int8."""
    limits: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """Input index -> least and largest value that tests draw for it."""


REGISTRY: dict[str, type[Op]] = {}


def register(cls: type[Op]) -> type[Op]:
    """Class decorator: make the operator known to importers, tests, docs and benchmarks."""
    if cls.name in REGISTRY:
        raise ValueError(f"operator {cls.name} is registered twice")
    REGISTRY[cls.name] = cls
    return cls


Pick = Callable[[Site, Sequence[Kernel]], Kernel]
"""Chooses among the kernels that a core and the operands allow, fastest first."""


def fastest(site: Site, kernels: Sequence[Kernel]) -> Kernel:
    return kernels[0]


def simplest(site: Site, kernels: Sequence[Kernel]) -> Kernel:
    """The reference of the others."""
    return kernels[-1]


def smallest(site: Site, kernels: Sequence[Kernel]) -> Kernel:
    """The one of least flash where all say what they take, else the fastest."""
    sizes = [kernel.flash(site) for kernel in kernels if kernel.flash is not None]
    return kernels[sizes.index(min(sizes))] if len(sizes) == len(kernels) else kernels[0]


def usable(site: Site, features: frozenset[str]) -> list[Kernel]:
    """The kernels that the core and the operands allow, fastest first."""
    return [k for k in site.op.kernels if k.isa <= features and k.when(site)]
