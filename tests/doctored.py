"""Networks with channels and taps that do nothing, for the tests of what is removed offline; and the comparison."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from lilliput.examples import ranges_of
from lilliput.graph import Array, Graph
from lilliput.ops.binary import Add
from lilliput.ops.conv import Conv2d, DepthwiseConv2d, Linear
from lilliput.ops.pool import AvgPool2d, MaxPool2d
from lilliput.ops.reduce import Mean
from lilliput.ops.shape import Concat, Reshape
from lilliput.ops.softmax import Softmax
from lilliput.ops.unary import Clamp, Sigmoid
from lilliput.passes.constant_channels import Reduced, check_same
from lilliput.quantize import quantize
from small_graphs import RELU, Builder

RELU6 = (0.0, 6.0)
FORMS: tuple[dict[str, Any], ...] = ({}, {"activations": "int16"}, {"weights": "int4"})


def assert_same(graph: Graph, made: Reduced, feeds: list[dict[str, Array]]) -> None:
    """Each tensor of the smaller graph equals the channels of the other's that it is said to consist of."""
    assert made.graph.inputs == graph.inputs
    assert made.graph.outputs == graph.outputs
    assert {n for n, t in made.graph.tensors.items() if not t.constant} == set(made.kept)
    for feed in feeds:
        check_same(graph, made, feed)


class Doctored(Builder):
    """A builder whose convolutions have channels and taps that do nothing, or all do the same."""

    def weights(self, *shape: int) -> tuple[Array, Array]:
        """Of a layer [out, ..., in]: dead and saturated channels, zero rows, columns and taps, equal rows."""
        rng = self.rng
        w, b = rng.normal(0, 0.4, shape), rng.normal(0, 0.4, shape[0])
        kind = rng.choice(6, shape[0], p=[0.4, 0.25, 0.1, 0.1, 0.1, 0.05])
        b[kind == 1] = -60  # below zero for any input
        b[kind == 2] = 60  # above six
        w[kind == 3] = 0
        w[kind == 4], b[kind == 4] = w[0], b[0]
        w[..., rng.random(shape[-1]) < 0.1] = 0
        if len(shape) == 4 and rng.random() < 0.3:
            w[:, 0 if rng.random() < 0.5 else -1] = 0
        if len(shape) == 4 and rng.random() < 0.3:
            w[:, :, 0 if rng.random() < 0.5 else -1] = 0
        return w.astype(np.float32), b.astype(np.float32)

    def clamp(self) -> tuple[float, float] | None:
        return [None, RELU, RELU6, RELU6][int(self.rng.integers(4))]

    def window(self, x: str) -> tuple[tuple[int, int], dict[str, Any]]:
        """A window that fits, with its attributes."""
        rng = self.rng
        sizes, attributes = [], {"stride": [], "padding": [], "dilation": []}
        for size in self.shape(x)[1:3]:
            k, d = int(rng.integers(1, 4)), int(rng.integers(1, 3))
            pad = (0, 0) if rng.random() < 0.4 else (int(rng.integers(0, k)), int(rng.integers(0, k)))
            if size + sum(pad) < d * (k - 1) + 1:
                k, d, pad = 1, 1, (0, 0)
            sizes.append(k)
            attributes["stride"].append(int(rng.choice([1, 1, 2])))
            attributes["padding"].append(pad)
            attributes["dilation"].append(d)
        return (sizes[0], sizes[1]), {key: tuple(value) for key, value in attributes.items()}

    def step(self, x: str) -> str:
        """A random layer behind x."""
        rng, (_, h, w, c) = self.rng, self.shape(x)
        kind = rng.choice(
            ["conv", "conv", "depthwise", "depthwise", "residual", "pool", "concat", "function"]
        )
        if kind == "conv":
            window, attributes = self.window(x)
            made = self.weights(int(rng.integers(2, 12)), *window, c)
            return self.add(Conv2d(**attributes, clamp=self.clamp()), x, *map(self.constant, made))
        if kind == "depthwise":
            window, attributes = self.window(x)
            weights, bias = self.weights(c * int(rng.choice([1, 1, 2])), *window, 1)
            op = DepthwiseConv2d(**attributes, clamp=self.clamp())
            return self.add(
                op, x, self.constant(np.moveaxis(weights, 0, 3).reshape(1, *window, -1)), self.constant(bias)
            )
        if kind == "pool":
            pool = (AvgPool2d, MaxPool2d)[int(rng.integers(2))]
            return self.add(pool((min(h, 2), min(w, 2)), (2, 2)), x)
        if kind == "function":
            return self.add(Sigmoid() if rng.random() < 0.3 else Clamp(0.0, 1.0), x)
        made = self.weights(c if kind == "residual" else int(rng.integers(1, 6)), 1, 1, c)
        side = self.add(Conv2d(clamp=self.clamp()), x, *map(self.constant, made))
        return self.add(Add(self.clamp()) if kind == "residual" else Concat(3), x, side)


def doctored(seed: int) -> Graph:
    """A float network of such layers, with a classifier on the flattened or averaged plane."""
    b = Doctored(np.random.default_rng(seed))
    x = b.input(1, *(int(n) for n in b.rng.integers(1, 9, 2)), int(b.rng.integers(1, 5)))
    for _ in range(int(b.rng.integers(2, 9))):
        x = b.step(x)
    _, h, w, c = b.shape(x)
    flat = b.add(Reshape((1, h * w * c)), x) if seed % 2 else b.add(Mean((1, 2)), x)
    y = b.add(Linear(), flat, *map(b.constant, b.weights(4, b.shape(flat)[1])))
    return b.graph(b.add(Softmax(), y) if seed % 3 else y)


@cache
def integers(seed: int) -> Graph:
    graph = doctored(seed)
    return quantize(graph, ranges=ranges_of(graph, seed), **FORMS[seed % 7 % 3])
