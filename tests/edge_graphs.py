"""Integer graphs at the edges of the int8 kernels: what they are drawn from, and which edges a layer is at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import lilliput.ops  # noqa: F401  fills the registry
from lilliput.graph import Array, Graph, Node, Quant, Shape, Tensor, verify
from lilliput.op import Op, Site
from lilliput.ops.binary import Add, Mul, Sub
from lilliput.ops.conv import Conv2d, DepthwiseConv2d, Linear, common
from lilliput.ops.conv.channels import Channels
from lilliput.ops.pool import AvgPool2d, MaxPool2d
from lilliput.plan import Plan

Convolution = Conv2d | DepthwiseConv2d | Linear
Pair = tuple[int, int]
INFINITY = float("inf")
CHANNELS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 17)
SMALL = (1, 2, 3, 4, 5, 6, 7, 8, 9)
WINDOWS = ((1, 1), (1, 1), *[(3, 3)] * 3, (2, 2), (2, 1), (1, 3), (3, 1), (3, 2), (4, 4), (5, 5), (10, 4))
STRIDES = ((1, 1), (1, 1), (1, 1), (2, 2), (2, 2), (3, 3), (1, 2), (2, 1))
ENDS = (-128, 127)
PACKED, RIGHT = 1 << 23, 1 << 30
"""Accumulators of a packed pair stay below the first, those of `scale_right` below the second."""
MOVED = 1 << 13
"""How far a packed pair's bias may be moved (packed_pair.OFFSETS): as much is kept free below its bound."""


def channels_of(site: Site) -> Channels:
    """The output channels of a convolution as they stand in the graph."""
    op, weights, bias = site.op, site.ins[1], site.ins[2].data
    assert weights.data is not None
    assert bias is not None
    rows = np.moveaxis(weights.data, op.weights[1], 0).reshape(bias.size, -1)
    m, shift = common.requantization(bias.size, common.effective_scale(site))
    bounds = common.bounds(site, op.clamp)  # type: ignore[attr-defined]  # every convolution has one
    return Channels(rows, bias, m, shift, site.x.q.z, site.y.q.z, bounds)


@dataclass
class Drawn:
    """A graph that grows by random int8 layers, each from the last result."""

    rng: np.random.Generator
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)

    def one(self, values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def zero_point(self) -> int:
        return int(self.one((*ENDS, 0, -1, int(self.rng.integers(-128, 128)))))

    def quant(self) -> Quant:
        return Quant.per_tensor(self.one((1.0, 0.25, 0.7)), self.zero_point())

    def input(self, shape: Shape) -> Tensor:
        return self.keep(Tensor(f"x{len(self.tensors)}", shape, "int8", self.quant()))

    def keep(self, tensor: Tensor) -> Tensor:
        self.tensors[tensor.name] = tensor
        return tensor

    def constant(self, data: Array, quant: Quant | None = None) -> Tensor:
        return self.keep(Tensor(f"c{len(self.tensors)}", data.shape, str(data.dtype), quant, data))

    def append(self, op: Op, ins: tuple[Tensor, ...], quant: Quant) -> Tensor:
        (shape,) = op.infer(ins)
        y = self.keep(Tensor(f"y{len(self.tensors)}", shape, "int8", quant))
        self.nodes.append(Node(op, tuple(t.name for t in ins), (y.name,), f"{op.name}_{len(self.nodes)}"))
        return y

    def graph(self) -> Graph:
        read = {name for node in self.nodes for name in node.inputs}
        written = [name for node in self.nodes for name in node.outputs]
        inputs = [t.name for t in self.tensors.values() if not t.constant and t.name not in written]
        outputs = [name for name in written if name not in read]
        return verify(Graph(tuple(inputs), tuple(outputs), tuple(self.nodes), self.tensors))

    def window(self, shape: Shape, sizes: tuple[Pair, ...] = WINDOWS) -> tuple[Pair, dict[str, Any]]:
        """A window that fits, with stride, dilation and padding of any kind."""
        kernel, stride = self.one(sizes), self.one(STRIDES)
        dilation = self.one(((1, 1), (1, 1), (1, 1), (2, 2), (1, 3)))
        padding: Any = self.one(
            (
                ((0, 0), (0, 0)),
                tuple((k // 2, k // 2) for k in kernel),
                tuple((0, k - 1) for k in kernel),
                tuple((0, min(k - 1, 1)) for k in kernel),
                tuple(tuple(int(v) for v in self.rng.integers(0, k, 2)) for k in kernel),
            )
        )
        for size, k, d, pad in zip(shape[1:3], kernel, dilation, padding, strict=True):
            if size + sum(pad) < d * (k - 1) + 1:
                return (1, 1), {"stride": stride}
        return kernel, {"stride": stride, "padding": padding, "dilation": dilation}

    def clamp(self, quant: Quant) -> common.Clamp:
        """None, or one that leaves several integers."""
        room = float(quant.s) * 40
        above = (None, (0.0, INFINITY), (0.0, room)) if quant.z < 90 else (None,)
        return self.one((None, (-room, room), *above))  # type: ignore[no-any-return]

    def convolution(self, x: Tensor, op: Convolution, weights: Array, kinds: tuple[str, ...] = ()) -> Tensor:
        """A layer of these weights, with a bias and a scale that bring each channel to some edge."""
        rows = np.moveaxis(weights, op.weights[1], 0).reshape(weights.shape[op.weights[1]], -1)
        y_quant, clamp = self.quant(), None
        # Two in five are as in trained networks: a ReLU, and no channel at an edge, or few.
        if kinds == () and self.rng.random() < 0.4:
            scale_of_y = float(y_quant.s)
            y_quant = Quant.per_tensor(scale_of_y, -128)
            clamp = self.one(((0.0, INFINITY), (0.0, 200 * scale_of_y)))
            kinds = self.one((("usual",), ("usual",), ("usual", "scale")))
        bias, effective = np.zeros(len(rows), np.int64), np.zeros(len(rows))
        mixed = [self.one(("usual", "usual", "usual", "packed", "scale", "right")) for _ in range(2)]
        for i, row in enumerate(rows):
            kind = "dead" if self.rng.random() < 0.02 else self.one(kinds or (*mixed, "usual"))
            bias[i], effective[i] = self.channel(kind, row.astype(np.int64), x.q.z)
        scale = (effective * float(y_quant.s) / float(x.q.s)).astype(np.float32)
        zeros = np.zeros(len(rows), np.int32)
        w = self.constant(weights, Quant(scale, zeros, op.weights[1]))
        b = self.constant(np.clip(bias, -(2**31) + 1, 2**31 - 1).astype(np.int32))
        return self.append(replace(op, clamp=clamp or self.clamp(y_quant)), (x, w, b), y_quant)

    def channel(self, kind: str, w: Array, zero_point: int) -> tuple[int, float]:
        """Bias and result per accumulator of one channel."""
        usual = 74.0 * float(np.sqrt((w * w).sum())) + 1
        # The sum of one end is at the bound, or as far below as some kernels move biases.
        if kind == "packed":
            away = int(self.one((1, 2, 64, 0, -1, MOVED + 1, MOVED + 1, MOVED)))
            ends = w * (127 - zero_point), w * (-128 - zero_point)
            up = int(self.one((1, 1, -1)))
            reached = int((np.maximum(*ends) if up > 0 else np.minimum(*ends)).sum())
            return up * (PACKED - away) - reached, float(self.one((100, 200, 255))) / PACKED
        # No order of additions passes the bound.
        if kind == "right":
            widest = int(np.abs(w).sum()) * max(127 - zero_point, zero_point + 128)
            bias = RIGHT - widest - int(self.one((1, 1, 2, 64, 0, -1)))
            return bias * int(self.one((1, 1, -1))), float(self.one((100, 200, 255))) / RIGHT
        bias = int(self.rng.normal(0, usual))
        # Multipliers at both ends of their range, now and then with the least and largest shifts.
        if kind == "scale":
            fitting = int(np.log2(127 / usual))
            exponent = int(self.one((*[fitting] * 6, -1, -2, -23, -25, 1)))
            return bias, float(self.one((0.5, 1 - 2.0**-24, 0.75))) * 2.0**exponent
        if kind == "dead":
            return int(self.one((2**30, -(2**30), 300))), float(self.one((1e-30, 2.0**-20)))
        return bias, 127 / usual * float(self.one((0.3, 1.0, 2.5)))

    def weights(self, shape: Shape) -> Array:
        kind = self.one(("normal", "normal", "uniform", "positive", "ends", "tiny"))
        if kind == "normal":
            w = np.clip(np.rint(self.rng.normal(0, 40, shape)), -127, 127)
        elif kind == "uniform":
            w = self.rng.integers(-127, 128, shape)
        elif kind == "ends":
            w = self.rng.choice([-128, -128, -127, 127, 127, -1, 0, 1], shape)
        elif kind == "positive":  # constant inputs then drive the accumulators to their ends
            w = self.rng.integers(90, 128, shape) * self.one((1, 1, -1))
        else:
            w = self.rng.integers(-2, 3, shape)
        w = w.astype(np.int8)
        if self.rng.random() < 0.3:
            w.flat[self.rng.integers(w.size)] = -128
        return w

    def conv2d(self, x: Tensor, oc: int, sizes: tuple[Pair, ...] = WINDOWS) -> Tensor:
        kernel, attributes = self.window(x.shape, sizes)
        groups = int(self.one([g for g in (1, 1, 1, 1, 2, 3) if x.shape[3] % g == 0 and oc % g == 0]))
        op = Conv2d(**attributes, groups=groups)
        return self.convolution(x, op, self.weights((oc, *kernel, x.shape[3] // groups)))

    def pointwise(self, x: Tensor, oc: int) -> Tensor:
        return self.convolution(x, Conv2d(), self.weights((oc, 1, 1, x.shape[3])))

    def depthwise(self, x: Tensor, sizes: tuple[Pair, ...] = WINDOWS) -> Tensor:
        kernel, attributes = self.window(x.shape, sizes)
        oc = x.shape[3] * int(self.one((1, 1, 1, 1, 1, 2, 3)))
        return self.convolution(x, DepthwiseConv2d(**attributes), self.weights((1, *kernel, oc)))

    def linear(self, x: Tensor, out: int) -> Tensor:
        return self.convolution(x, Linear(), self.weights((out, x.shape[-1])))

    def pool(self, x: Tensor) -> Tensor:
        for _ in range(20):
            window, attributes = self.window(x.shape)
            known = {name: attributes[name] for name in ("stride", "padding") if name in attributes}
            kind = self.one((MaxPool2d, AvgPool2d))
            op = kind(window, **known, clamp=self.clamp(x.q))
            if (op.counts(x.shape) > 0).all():
                return self.append(op, (x,), x.q)
        return x

    def combine(self, a: Tensor, b: Tensor) -> Tensor:
        op = self.one((Add, Add, Add, Sub, Mul))
        quant = self.quant()
        widest = float(self.one((0.5, 1.0, 2.0))) * max(float(a.q.s), float(b.q.s))
        scale = float(a.q.s) * float(b.q.s) * 100 if op is Mul else widest
        quant = Quant.per_tensor(scale, quant.z)
        return self.append(op(clamp=self.clamp(quant)), (a, b), quant)


def _plane(d: Drawn, channels: tuple[int, ...] = CHANNELS) -> Tensor:
    samples = int(d.one((1, 1, 1, 1, 1, 2)))
    return d.input((samples, int(d.one(SMALL)), int(d.one(SMALL)), int(d.one(channels))))


def _conv(d: Drawn) -> None:
    d.conv2d(_plane(d), int(d.one(CHANNELS)))


def _point(d: Drawn) -> None:
    d.pointwise(_plane(d, (*CHANNELS, 23, 32, 34, 63, 64, 127, 131, 800)), int(d.one(CHANNELS)))


def _depth(d: Drawn) -> None:
    d.depthwise(_plane(d, (*CHANNELS, 32, 33)))


def _mobile(d: Drawn) -> None:
    """Depthwise 3 x 3 with many channels, which the narrowest kernels take."""
    x = d.input((1, int(d.one((3, 4, 6))), int(d.rng.integers(3, 12)), int(d.one((5, 8, 9, 13, 16, 24, 33)))))
    padding = d.one((((0, 0), (0, 0)), ((1, 1), (1, 1)), ((0, 1), (0, 1)), ((1, 0), (1, 0))))
    op = DepthwiseConv2d(stride=d.one(STRIDES), padding=padding)
    d.convolution(x, op, d.weights((1, 3, 3, x.shape[3])))


def _linear(d: Drawn) -> None:
    k = int(d.one((*CHANNELS, 31, 64, 250, 1000)))
    shape = d.one(((1, k), (1, k), (1, 3, k), (1, 5, k)))
    d.linear(d.input(shape), int(d.one((*CHANNELS, 18, 33))))


def _long(d: Drawn) -> None:
    """So many taps that results still vary where accumulators come near 2^30."""
    x = d.input((1, int(d.one((1, 3, 6))), 1, int(d.one((600, 801, 1002, 1203)))))
    d.tensors[x.name] = x = replace(x, quant=Quant.per_tensor(1.0, -128))
    weights = d.rng.integers(100, 128, (int(d.one((1, 2, 3, 4, 5))), 1, 1, x.shape[3])).astype(np.int8)
    d.convolution(x, Conv2d(), weights, ("right",))


def _pool(d: Drawn) -> None:
    d.pool(_plane(d))


def _binary(d: Drawn) -> None:
    x = _plane(d)
    d.combine(x, d.input(x.shape))


def _chain(d: Drawn) -> None:
    """Pointwise, depthwise, pointwise, residual sums and pools, as in mobile networks."""
    x = _plane(d)
    for _ in range(int(d.rng.integers(1, 4))):
        y = d.pointwise(x, int(d.one(CHANNELS)))
        y = d.depthwise(y, ((3, 3), (3, 3), (5, 5)))
        if d.rng.random() < 0.5:
            y = d.pointwise(y, x.shape[3])
        if y.shape == x.shape:
            y = d.combine(x, y)
        if d.rng.random() < 0.2:
            y = d.pool(y)
        x = y


KINDS = {_conv: 3, _point: 3, _depth: 4, _mobile: 2, _linear: 3, _long: 1, _pool: 1, _binary: 1, _chain: 3}
"""What is drawn, and its share."""
OF_OPERATORS = {
    "conv2d": (_conv, _point),
    "depthwise_conv2d": (_depth, _mobile, _mobile),
    "linear": (_linear,),
    "max_pool2d": (_pool,),
    "avg_pool2d": (_pool,),
    **dict.fromkeys(("add", "sub", "mul"), (_binary,)),
}


def edge_graph(seed: int, of: str | None = None) -> Graph:
    """One layer, or a chain of them that are computed in place and in overlapping memory; `of` names an operator."""
    d = Drawn(np.random.default_rng(seed))
    d.one(OF_OPERATORS[of] if of else [kind for kind, share in KINDS.items() for _ in range(share)])(d)
    return d.graph()


def feeds(graph: Graph, seed: int) -> Iterator[dict[str, Array]]:
    """Uniform integers, only ends, and the constant inputs that drive accumulators to their bounds."""
    rng = np.random.default_rng(seed)
    shapes = {name: graph.tensors[name].shape for name in graph.inputs}
    yield {n: rng.integers(-128, 127, s, np.int8, endpoint=True) for n, s in shapes.items()}
    yield {n: rng.choice(np.array(ENDS, np.int8), s) for n, s in shapes.items()}
    for end in ENDS:
        yield {n: np.full(s, end, np.int8) for n, s in shapes.items()}


@dataclass(frozen=True, eq=False)
class At:
    """A layer of a convolution, with what its edges are judged by."""

    site: Site
    geometry: common.Geometry
    channels: Channels

    @property
    def reach(self) -> Array:
        """The largest accumulator of each channel that is not constant."""
        return np.asarray(np.maximum(*(np.abs(v) for v in self.channels.reach)))[~self.channels.constant()]


def _attribute(site: Site, name: str) -> Any:
    return getattr(site.op, name, ((0, 0), (0, 0)) if name == "padding" else (1, 1))


def _close(values: Array, limit: int, *, past: bool) -> bool:
    """Whether any is near a limit, on one side of it."""
    away = values.astype(np.int64) - limit
    return bool(((away >= 0) & (away < 128) if past else (away < 0) & (away >= -128 - MOVED)).any())


OF_CONVOLUTIONS: dict[str, Callable[[At], bool]] = {
    "weight -128": lambda at: bool((at.channels.weights == -128).any()),
    "K % 4 = 1": lambda at: at.channels.weights.shape[1] % 4 == 1,
    "K % 4 = 2": lambda at: at.channels.weights.shape[1] % 4 == 2,
    "K % 4 = 3": lambda at: at.channels.weights.shape[1] % 4 == 3,
    "fewer than 4 channels": lambda at: len(at.channels.bias) < 4,
    "dilation": lambda at: max(_attribute(at.site, "dilation")) > 1,
    "just below 2^23": lambda at: _close(at.reach, PACKED, past=False),
    "just past 2^23": lambda at: _close(at.reach, PACKED, past=True),
    "just below 2^30": lambda at: _close(at.reach, RIGHT, past=False),
    "constant channel": lambda at: bool(at.channels.constant().any() and not at.channels.constant().all()),
    "multiplier 2^30": lambda at: bool((at.channels.m == 1 << 30).any()),
    "largest multiplier": lambda at: bool((at.channels.m >= (1 << 31) - 256).any()),
    "shift of 1": lambda at: bool((at.channels.shift == -1).any()),
}
"""Edge -> whether a convolution is at it."""
OF_ALL: dict[str, Callable[[Site], bool]] = {
    "odd channels": lambda s: bool(s.y.shape[-1] % 2),
    "row of 1": lambda s: s.y.shape[-2] == 1,
    "row of 4n + 1": lambda s: s.y.shape[-2] % 4 == 1 and s.y.shape[-2] > 1,
    "row of 4n + 2": lambda s: s.y.shape[-2] % 4 == 2,
    "row of 4n + 3": lambda s: s.y.shape[-2] % 4 == 3,
    "stride 2": lambda s: 2 in _attribute(s, "stride"),
    "stride 3": lambda s: 3 in _attribute(s, "stride"),
    "padding": lambda s: any(a or b for a, b in _attribute(s, "padding")),
    "uneven padding": lambda s: any(a != b for a, b in _attribute(s, "padding")),
    "two samples": lambda s: len(s.y.shape) == 4 and s.y.shape[0] > 1,
    "zero point -128": lambda s: s.x.q.z == -128,
    "zero point 127": lambda s: s.x.q.z == 127,
    "result's -128": lambda s: s.y.q.z == -128,
    "result's 127": lambda s: s.y.q.z == 127,
    "clamp": lambda s: getattr(s.op, "clamp", None) is not None,
}
"""Edge -> whether any layer is at it."""
OF_PLANS = ("in place", "overlap", "by rows")
"""The result takes the place of an input, shares some memory with it, or is computed row by row in a stream."""
EDGES = (*OF_ALL, *OF_CONVOLUTIONS, *OF_PLANS)


def edges_of(site: Site) -> frozenset[str]:
    """The edges that a layer is at, whatever kernel computes it."""
    found = {edge for edge, test in OF_ALL.items() if test(site)}
    if isinstance(site.op, Conv2d | DepthwiseConv2d | Linear):
        at = At(site, site.op.geometry(site), channels_of(site))
        found |= {edge for edge, test in OF_CONVOLUTIONS.items() if test(at)}
    return frozenset(found)


def edges_in(plan: Plan, index: int) -> frozenset[str]:
    """The edges of a planned layer: those of what one call of its kernel computes, and those of the memory."""
    step = plan.steps[index]
    found = set(edges_of(step.piece or step.site))
    if plan.stream_of(index) is not None:
        return frozenset({*found, "by rows"})
    y = step.site.y
    at = plan.offsets[y.name]
    for t in step.site.ins:
        if t.constant:
            continue
        begin = plan.offsets[t.name]
        if begin == at:
            found.add("in place")
        elif begin < at + y.nbytes and at < begin + t.nbytes:
            found.add("overlap")
    return frozenset(found)
