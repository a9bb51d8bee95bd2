"""Small whole networks as .tflite files, the way converters write them: what TFLM and we are compared on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lilliput.graph import Array
from tflite_builder import Model

RANGES = {"int8": 127, "int16": 32767}
FIXED = {"int8": (1 / 256, -128), "int16": (1 / 32768, 0)}
BIAS = {"int8": "int32", "int16": "int64", "float32": "float32"}


class Net:
    """A network under construction: the tensor that comes next operators read, and how it is quantized.

    Scales follow from a real run of random weights: values are taken to be normal with the deviation `spread`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: str = "int8",
        seed: int = 0,
        weights: str = "int8",
        per_tensor: bool = False,
    ) -> None:
        self.model, self.rng = Model(), np.random.default_rng(seed)
        self.dtype, self.weights, self.per_tensor = dtype, weights, per_tensor
        self.spread = 1.0
        self.shape = tuple(shape)
        self.at = self.input = self._tensor(self.shape)

    def _tensor(self, shape: Sequence[int], like: int | None = None) -> int:
        """A tensor of the current type and spread, or quantized as another one is."""
        self.shape = tuple(int(n) for n in shape)
        if self.dtype == "float32":
            return self.model.tensor(self.shape, "float32")
        if like is None:
            self.scale = self.spread * 3 / RANGES[self.dtype]
            self.zero = int(self.rng.integers(-40, 40)) if self.dtype == "int8" else 0
        return self.model.tensor(self.shape, self.dtype, self.scale, self.zero)

    def _op(
        self, name: str, others: Sequence[int], shape: Sequence[int], same: bool = False, **options: Any
    ) -> Net:
        inputs = [self.at, *others]
        self.at = self._tensor(shape, self.at if same else None)
        self.model.op(name, inputs, [self.at], **options)
        return self

    def _weights(self, shape: Sequence[int], axis: int, taps: int) -> tuple[int, int]:
        """Weights and bias that keep the spread about as it is."""
        channels = shape[axis]
        if self.dtype == "float32":
            real = self.rng.normal(0, taps**-0.5, shape)
            bias = self.rng.normal(0, 0.1, channels)
            return self.model.tensor(shape, "float32", data=real), self.model.tensor(
                (channels,), "float32", data=bias
            )
        top = 7 if self.weights == "int4" else 127
        integers = np.clip(np.round(self.rng.normal(0, top / 2.5, shape)), -top, top).astype(np.int8)
        per_channel = not self.per_tensor and (self.weights == "int8" or len(shape) == 4)
        scales = 2.5 / top * taps**-0.5 * self.rng.uniform(0.8, 1.2, channels if per_channel else 1)
        data: Array = integers
        if self.weights == "int4":
            flat = integers.reshape(-1)
            halves = np.pad(flat, (0, flat.size % 2)).astype(np.int64) & 15
            data = halves[::2] | halves[1::2] << 4
        w = self.model.tensor(shape, self.weights, scales, 0, data, axis)
        biases = np.round(self.rng.normal(0, 0.1, channels) / (self.scale * scales))
        return w, self.model.tensor((channels,), BIAS[self.dtype], self.scale * scales, 0, biases)

    def dense(self, n: int, activation: str = "NONE") -> Net:
        k = self.shape[-1]
        constants = self._weights((n, k), 0, k)
        return self._op("FULLY_CONNECTED", constants, (*self.shape[:-1], n), fused_activation=activation)

    def conv(
        self, n: int, window: Sequence[int], stride: int = 1, activation: str = "RELU", padding: str = "SAME"
    ) -> Net:
        constants = self._weights((n, *window, self.shape[3]), 0, int(np.prod(window)) * self.shape[3])
        options = {"padding": padding, "stride_h": stride, "stride_w": stride, "fused_activation": activation}
        return self._op(
            "CONV_2D", constants, (self.shape[0], *self._plane(window, stride, padding), n), **options
        )

    def depthwise(self, window: Sequence[int], stride: int = 1, activation: str = "RELU6") -> Net:
        c = self.shape[3]
        constants = self._weights((1, *window, c), 3, int(np.prod(window)))
        options = {"padding": "SAME", "stride_h": stride, "stride_w": stride, "fused_activation": activation}
        shape = (1, *self._plane(window, stride, "SAME"), c)
        return self._op("DEPTHWISE_CONV_2D", constants, shape, depth_multiplier=1, **options)

    def _plane(self, window: Sequence[int], stride: int, padding: str) -> list[int]:
        sizes = zip(self.shape[1:3], window, strict=True)
        return [-(-s // stride) if padding == "SAME" else (s - k) // stride + 1 for s, k in sizes]

    def pool(self, kind: str, window: Sequence[int], stride: int) -> Net:
        plane = self._plane(window, stride, "VALID")
        sizes = {
            "filter_height": window[0],
            "filter_width": window[1],
            "stride_h": stride,
            "stride_w": stride,
        }
        return self._op(f"{kind}_POOL_2D", (), (1, *plane, self.shape[3]), True, padding="VALID", **sizes)

    def mean(self) -> Net:
        axes = self.model.tensor((2,), "int32", data=[1, 2])
        self.spread *= 0.5
        return self._op("MEAN", (axes,), (1, self.shape[3]), keep_dims=False)

    def reshape(self, *shape: int) -> Net:
        wanted = self.model.tensor((len(shape),), "int32", data=shape)
        return self._op("RESHAPE", (wanted,), shape, True, new_shape=list(shape))

    def expand(self, axis: int) -> Net:
        where = self.model.tensor((1,), "int32", data=[axis])
        return self._op("EXPAND_DIMS", (where,), (*self.shape[:axis], 1, *self.shape[axis:]), True)

    def add(self, other: int, activation: str = "NONE") -> Net:
        self.spread *= 1.4
        return self._op("ADD", (other,), self.shape, fused_activation=activation)

    def activation(self, name: str, **options: Any) -> Net:
        """One that may change the quantization; LOGISTIC and TANH fix it."""
        if name in ("LOGISTIC", "TANH", "SOFTMAX") and self.dtype != "float32":
            before = self.at
            self.scale, self.zero = FIXED[self.dtype]
            if name == "TANH" and self.dtype == "int8":
                self.scale, self.zero = 1 / 128, 0
            self.at = self.model.tensor(self.shape, self.dtype, self.scale, self.zero)
            self.model.op(name, [before], [self.at], **options)
            return self
        return self._op(name, (), self.shape, **options)

    def softmax(self) -> Net:
        return self.activation("SOFTMAX", beta=1.0)

    def to(self, dtype: str) -> Net:
        """QUANTIZE or DEQUANTIZE."""
        before, self.dtype = self.at, dtype
        self.at = self._tensor(self.shape)
        self.model.op("DEQUANTIZE" if dtype == "float32" else "QUANTIZE", [before], [self.at])
        return self

    def blocks(self, dilation: int) -> Net:
        """SPACE_TO_BATCH_ND along the second axis, as dilated 1-D convolutions are written."""
        n, h, w, c = self.shape
        size, pads = (
            self.model.tensor(s, "int32", data=d) for s, d in (((2,), [1, dilation]), ((2, 2), [0] * 4))
        )
        return self._op("SPACE_TO_BATCH_ND", (size, pads), (n * dilation, h, w // dilation, c), True)

    def unblocks(self, dilation: int) -> Net:
        n, h, w, c = self.shape
        size, crops = (
            self.model.tensor(s, "int32", data=d) for s, d in (((2,), [1, dilation]), ((2, 2), [0] * 4))
        )
        return self._op("BATCH_TO_SPACE_ND", (size, crops), (n // dilation, h, w * dilation, c), True)

    def done(self) -> bytes:
        return self.model.inputs(self.input).outputs(self.at).to_bytes()


def autoencoder(dtype: str, seed: int = 1) -> bytes:
    net = Net((1, 40), dtype, seed)
    for n in (24, 8, 24):
        net.dense(n, "RELU")
    return net.dense(40).done()


def sensor_cnn(dtype: str, seed: int = 2) -> bytes:
    """1-D convolutions as TensorFlow writes them: EXPAND_DIMS, CONV_2D, RESHAPE."""
    net = Net((1, 48, 3), dtype, seed)
    net.expand(1).conv(8, (1, 5), 2, "RELU", "VALID").reshape(1, 22, 8)
    net.expand(1).conv(12, (1, 3), 1, "RELU").pool("MAX", (1, 2), 2).reshape(1, 132)
    return net.dense(6).softmax().done()


def temporal(dtype: str, seed: int = 3) -> bytes:
    """A dilated 1-D convolution between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND, and a residual."""
    net = Net((1, 1, 32, 4), dtype, seed)
    net.conv(8, (1, 3))
    before = net.at
    net.blocks(4).conv(8, (1, 3), 1, "RELU").unblocks(4).add(before)
    return net.mean().dense(5).softmax().done()


def person(dtype: str, seed: int = 4, per_tensor: bool = False, weights: str = "int8") -> bytes:
    """Depthwise separable convolutions, AVERAGE_POOL_2D, RESHAPE, SOFTMAX."""
    net = Net((1, 16, 16, 1), dtype, seed, weights, per_tensor)
    net.conv(8, (3, 3), 2, "RELU6")
    for n, stride in ((12, 1), (16, 2), (16, 1)):
        net.depthwise((3, 3), stride).conv(n, (1, 1), 1, "RELU6")
    net.pool("AVERAGE", (4, 4), 4).conv(3, (1, 1), 1, "NONE").reshape(1, 3)
    return net.softmax().done()


def residual(dtype: str, seed: int = 5) -> bytes:
    net = Net((1, 8, 8, 3), dtype, seed)
    net.conv(8, (3, 3))
    first = net.at
    net.conv(8, (3, 3)).conv(8, (3, 3), 1, "NONE").add(first, "RELU")
    second, spread, scale, zero = net.at, net.spread, getattr(net, "scale", 0), getattr(net, "zero", 0)
    net.conv(12, (1, 1), 2, "NONE")
    shortcut, shape = net.at, net.shape
    net.at, net.shape, net.spread, net.scale, net.zero = second, (1, 8, 8, 8), spread, scale, zero
    net.conv(12, (3, 3), 2).conv(12, (3, 3), 1, "NONE").add(shortcut, "RELU")
    assert net.shape == shape
    return net.mean().dense(4).softmax().done()


def gates(dtype: str, seed: int = 6) -> bytes:
    """Functions of one value between layers."""
    net = Net((1, 1, 20, 4), dtype, seed)
    net.conv(6, (1, 3), 1, "NONE").activation("LEAKY_RELU", alpha=0.2).conv(6, (1, 3), 1, "NONE").activation(
        "TANH"
    )
    net.conv(6, (1, 3), 1, "NONE").activation("LOGISTIC").activation("RELU").activation("RELU6")
    return net.reshape(1, 120).dense(4).done()


def ends(inner: str, seed: int = 7) -> bytes:
    """A float input, QUANTIZE, integer layers, DEQUANTIZE, and float layers at the end."""
    net = Net((1, 10, 10, 2), "float32", seed)
    net.to(inner).conv(6, (3, 3), 2).pool("MAX", (2, 2), 2).reshape(1, 24).dense(8, "RELU")
    return net.to("float32").dense(5).softmax().done()


def wider(seed: int = 8) -> bytes:
    """An int8 part, an int16 part where more precision is wanted, and int8 again."""
    net = Net((1, 8, 8, 3), "int8", seed)
    net.conv(8, (3, 3)).to("int16").conv(8, (3, 3)).activation("LOGISTIC").to("int8")
    return net.mean().dense(3).softmax().done()


NETWORKS: dict[str, Callable[[], bytes]] = {
    **{
        f"{make.__name__} {dtype}": (lambda make=make, dtype=dtype: make(dtype))  # type: ignore[misc]
        for make in (autoencoder, sensor_cnn, person, residual, gates)
        for dtype in ("int8", "int16", "float32")
    },
    "temporal int8": lambda: temporal("int8"),
    "temporal float32": lambda: temporal("float32"),
    "person int8 per tensor": lambda: person("int8", per_tensor=True),
    "person int4 weights": lambda: person("int8", weights="int4"),
    "person int4 weights per tensor": lambda: person("int8", per_tensor=True, weights="int4"),
    "float ends int8": lambda: ends("int8"),
    "float ends int16": lambda: ends("int16"),
    "int8 and int16": lambda: wider(),
}
