"""Keras models as graphs: every layer alone and whole networks equal Keras's own predictions."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers as L  # noqa: N812  short, for it is on every line

import lilliput
from batch import Case, host_differences, host_models
from lilliput.errors import UserError
from lilliput.evaluate import step_through
from lilliput.graph import Graph
from lilliput.plan import plan

pytestmark = pytest.mark.filterwarnings("ignore")  # of Keras itself
BOUND = 2e-5
"""float32 in another order of summation, relative to the largest value of the tensor (or to 1e-3)."""


def shaken(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model with weights and statistics that matter."""
    rng = np.random.default_rng(seed)
    for v in model.variables:
        if v.dtype != "float32" or "seed" in v.path:
            continue
        low = 0.5 if "variance" in v.path else 0.0
        fresh = np.abs(rng.normal(0, 0.5, v.shape)) + low if low else rng.normal(0, 0.5, v.shape)
        v.assign(fresh.astype(np.float32))
    return model


def drawn(model: keras.Model, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    found = []
    for x in model.inputs:
        shape = (1, *x.shape[1:])
        whole = str(x.dtype).startswith(("int", "uint"))
        found.append(
            rng.integers(0, 5, shape).astype(x.dtype) if whole else rng.normal(0, 1, shape).astype("f4")
        )
    return found


def compare(model: keras.Model, bound: float = BOUND) -> Graph:
    """The simplified graph, after comparing two samples with Keras."""
    graph = lilliput.load(model)
    assert len(graph.inputs) == len(model.inputs)
    for seed in range(2):
        xs = drawn(model, seed)
        given = [keras.ops.convert_to_tensor(x) for x in xs]
        expected = keras.tree.flatten(model(given if len(given) > 1 else given[0], training=False))
        found = step_through(graph, dict(zip(graph.inputs, xs, strict=True)))
        assert len(expected) == len(graph.outputs)
        for name, wanted in zip(graph.outputs, expected, strict=True):
            y = wanted.detach().numpy()
            assert found[name].shape == y.shape
            assert np.abs(found[name] - y).max() <= bound * max(np.abs(y).max(), 1e-3)
    return graph


def one(layer: L.Layer, *shape: int, dtype: str = "float32") -> keras.Model:
    x = keras.Input(shape, dtype=dtype)
    return shaken(keras.Model(x, layer(x)))


ALONE: dict[str, Callable[[], keras.Model]] = {
    "dense": lambda: one(L.Dense(5, "relu"), 7),
    "dense over steps, no bias": lambda: one(L.Dense(5, use_bias=False), 3, 7),
    "einsum dense": lambda: one(L.EinsumDense("abc,cd->abd", (None, 6), bias_axes="d"), 4, 5),
    "embedding": lambda: one(L.Embedding(5, 3), 6, dtype="int32"),
    "conv1d": lambda: one(L.Conv1D(4, 3, 2, "same", activation="tanh"), 9, 3),
    "conv1d causal, dilated": lambda: one(L.Conv1D(4, 3, padding="causal", dilation_rate=2), 9, 3),
    "conv2d": lambda: one(L.Conv2D(6, (3, 2), (2, 1), "same"), 7, 6, 3),
    "conv2d valid, dilated, no bias": lambda: one(L.Conv2D(4, 3, dilation_rate=2, use_bias=False), 8, 9, 2),
    "conv2d in groups": lambda: one(L.Conv2D(6, 3, groups=2), 6, 5, 4),
    "conv2d channels first": lambda: one(L.Conv2D(4, 3, padding="same", data_format="channels_first"), 3, 6, 5),
    "conv3d": lambda: one(L.Conv3D(3, 2, padding="same"), 3, 4, 5, 2),
    "depthwise conv1d": lambda: one(L.DepthwiseConv1D(3, padding="same"), 8, 3),
    "depthwise conv2d": lambda: one(L.DepthwiseConv2D(3, 2, "same", activation="relu6"), 7, 6, 4),
    "depthwise conv2d times 3": lambda: one(L.DepthwiseConv2D((2, 3), depth_multiplier=3), 5, 6, 2),
    "depthwise conv2d of one channel": lambda: one(L.DepthwiseConv2D(3, depth_multiplier=2), 5, 6, 1),
    "separable conv1d": lambda: one(L.SeparableConv1D(5, 3, padding="same", depth_multiplier=2), 8, 3),
    "separable conv2d": lambda: one(L.SeparableConv2D(5, 3, 2, "same", activation="elu"), 7, 8, 3),
    "conv1d transposed": lambda: one(L.Conv1DTranspose(3, 4, 2, "same"), 5, 2),
    "conv2d transposed, valid": lambda: one(L.Conv2DTranspose(3, 3, 2), 4, 5, 2),
    "conv2d transposed, same": lambda: one(L.Conv2DTranspose(3, 4, 2, "same"), 4, 5, 2),
    "conv2d transposed, odd same": lambda: one(L.Conv2DTranspose(3, 3, 2, "same"), 4, 5, 2),
    "conv2d transposed, stride over window": lambda: one(L.Conv2DTranspose(3, 2, 3), 4, 5, 2),
    "conv2d transposed, output padding": lambda: one(L.Conv2DTranspose(2, 3, 2, output_padding=1), 4, 3, 2),
    "conv2d transposed, dilated": lambda: one(L.Conv2DTranspose(2, 3, 1, dilation_rate=2), 4, 3, 2),
    "conv3d transposed": lambda: one(L.Conv3DTranspose(2, 2, 2), 2, 3, 2, 2),
    "max pooling 1d": lambda: one(L.MaxPooling1D(3, 2, "same"), 8, 3),
    "max pooling 2d": lambda: one(L.MaxPooling2D(2), 7, 6, 3),
    "max pooling 2d same": lambda: one(L.MaxPooling2D((3, 2), (2, 2), "same"), 7, 5, 3),
    "max pooling 3d": lambda: one(L.MaxPooling3D(2), 4, 4, 5, 2),
    "average pooling 1d": lambda: one(L.AveragePooling1D(2, padding="same"), 7, 3),
    "average pooling 2d same": lambda: one(L.AveragePooling2D(3, 2, "same"), 7, 5, 3),
    "average pooling 3d": lambda: one(L.AveragePooling3D((1, 2, 2)), 3, 4, 5, 2),
    "global average pooling 1d": lambda: one(L.GlobalAveragePooling1D(), 7, 3),
    "global average pooling 2d": lambda: one(L.GlobalAveragePooling2D(keepdims=True), 5, 4, 3),
    "global average pooling 3d": lambda: one(L.GlobalAveragePooling3D(), 2, 5, 4, 3),
    "global max pooling 1d": lambda: one(L.GlobalMaxPooling1D(), 7, 3),
    "global max pooling 2d": lambda: one(L.GlobalMaxPooling2D(data_format="channels_first"), 3, 4, 5),
    "global max pooling 3d": lambda: one(L.GlobalMaxPooling3D(keepdims=True), 2, 4, 5, 2),
    "batch normalization": lambda: one(L.BatchNormalization(), 5, 4, 3),
    "batch normalization of an axis": lambda: one(L.BatchNormalization(axis=1, scale=False), 5, 4, 3),
    "batch normalization, plain": lambda: one(L.BatchNormalization(scale=False, center=False), 6),
    "layer normalization": lambda: one(L.LayerNormalization(), 5, 6),
    "layer normalization of two axes": lambda: one(L.LayerNormalization(axis=[1, 2], center=False), 5, 6),
    "rms normalization": lambda: one(L.RMSNormalization(), 5, 6),
    "group normalization": lambda: one(L.GroupNormalization(2), 5, 4, 6),
    "unit normalization": lambda: one(L.UnitNormalization(), 4, 6),
    "rescaling": lambda: one(L.Rescaling(1 / 127.5, -1.0), 4, 4, 3),
    "rescaling of bytes": lambda: one(L.Rescaling(1 / 255), 4, 4, 3, dtype="uint8"),
    "normalization, given": lambda: one(L.Normalization(mean=[1.0, 2.0], variance=[4.0, 0.5]), 3, 2),
    "normalization, inverse": lambda: one(L.Normalization(mean=1.5, variance=2.0, axis=None, invert=True), 3, 2),
    "leaky relu": lambda: one(L.LeakyReLU(0.1), 9),
    "prelu": lambda: one(L.PReLU(shared_axes=[1, 2]), 3, 4, 5),
    "prelu of all": lambda: one(L.PReLU(), 3, 4),
    "relu with a maximum": lambda: one(L.ReLU(1.5), 30),
    "relu with a slope": lambda: one(L.ReLU(1.0, negative_slope=0.2), 30),
    "relu with a threshold": lambda: one(L.ReLU(1.0, threshold=0.4), 30),
    "elu": lambda: one(L.ELU(0.7), 30),
    "softmax": lambda: one(L.Softmax(), 3, 6),
    "softmax of an axis": lambda: one(L.Softmax(axis=1), 3, 6),
    "flatten": lambda: one(L.Flatten(), 3, 4, 2),
    "flatten channels first": lambda: one(L.Flatten(data_format="channels_first"), 3, 4, 2),
    "reshape": lambda: one(L.Reshape((4, -1)), 3, 8),
    "permute": lambda: one(L.Permute((3, 1, 2)), 3, 4, 2),
    "repeat vector": lambda: one(L.RepeatVector(4), 3),
    "zero padding 1d": lambda: one(L.ZeroPadding1D((1, 2)), 4, 3),
    "zero padding 2d": lambda: one(L.ZeroPadding2D(((1, 0), (2, 3))), 4, 3, 2),
    "zero padding 3d": lambda: one(L.ZeroPadding3D(1), 2, 3, 2, 2),
    "cropping 1d": lambda: one(L.Cropping1D((1, 2)), 8, 3),
    "cropping 2d": lambda: one(L.Cropping2D((1, 2)), 5, 7, 2),
    "cropping 3d": lambda: one(L.Cropping3D(((1, 0), (0, 1), (1, 1))), 3, 3, 4, 2),
    "up sampling 1d": lambda: one(L.UpSampling1D(3), 4, 2),
    "up sampling 2d": lambda: one(L.UpSampling2D((2, 3)), 3, 4, 2),
    "up sampling 2d bilinear": lambda: one(L.UpSampling2D(2, interpolation="bilinear"), 3, 4, 2),
    "up sampling 3d": lambda: one(L.UpSampling3D(2), 2, 3, 2, 2),
    "dropout": lambda: one(L.Dropout(0.5), 4),
    "noise": lambda: one(L.GaussianNoise(1.0), 4),
    "spatial dropout": lambda: one(L.SpatialDropout2D(0.5), 4, 3, 2),
    "simple rnn": lambda: one(L.SimpleRNN(4), 5, 3),
    "simple rnn relu, steps": lambda: one(L.SimpleRNN(4, "relu", return_sequences=True), 5, 3),
    "lstm": lambda: one(L.LSTM(4), 5, 3),
    "lstm, steps and states": lambda: one(L.LSTM(4, return_sequences=True, return_state=True), 5, 3),
    "lstm backwards": lambda: one(L.LSTM(4, return_sequences=True, go_backwards=True, use_bias=False), 5, 3),
    "lstm of other functions": lambda: one(L.LSTM(4, "softsign", "hard_sigmoid"), 5, 3),
    "gru": lambda: one(L.GRU(4), 5, 3),
    "gru, reset before": lambda: one(L.GRU(4, reset_after=False, return_sequences=True), 5, 3),
    "gru without bias": lambda: one(L.GRU(4, use_bias=False, return_state=True), 5, 3),
    "bidirectional lstm": lambda: one(L.Bidirectional(L.LSTM(4, return_sequences=True)), 5, 3),
    "bidirectional gru, last": lambda: one(L.Bidirectional(L.GRU(4)), 5, 3),
    "bidirectional rnn, sum": lambda: one(
        L.Bidirectional(L.SimpleRNN(4, return_sequences=True), merge_mode="sum"), 5, 3
    ),
    "bidirectional rnn, mean": lambda: one(L.Bidirectional(L.SimpleRNN(4), merge_mode="ave"), 5, 3),
    "bidirectional rnn, product": lambda: one(L.Bidirectional(L.SimpleRNN(4), merge_mode="mul"), 5, 3),
    "bidirectional rnn, both": lambda: one(
        L.Bidirectional(L.SimpleRNN(4, return_sequences=True), merge_mode=None), 5, 3
    ),
    "dense for each step": lambda: one(L.TimeDistributed(L.Dense(4, "relu")), 5, 3),
    "convolution for each step": lambda: one(L.TimeDistributed(L.Conv2D(4, 3, padding="same")), 3, 5, 4, 2),
    "rnn for each step": lambda: one(L.TimeDistributed(L.GRU(3)), 3, 5, 2),
    **{
        f"activation {name}": lambda name=name: one(L.Activation(name), 40)
        for name in (
            "relu", "relu6", "leaky_relu", "softmax", "log_softmax", "sigmoid", "tanh", "elu", "celu", "selu",
            "softplus", "softsign", "silu", "gelu", "mish", "exponential", "hard_sigmoid", "hard_silu", "hard_tanh",
            "hard_shrink", "soft_shrink", "log_sigmoid", "linear",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
def test_a_layer_alone(name: str) -> None:
    compare(ALONE[name]())


# ---- whole networks


def functional() -> keras.Model:
    """Residual blocks, a nested model, a layer and a model that are shared, three outputs."""
    a, b = keras.Input((8, 8, 3), name="left"), keras.Input((8, 8, 3), name="right")
    stem = keras.Sequential(
        [keras.Input((8, 8, 3)), L.Conv2D(4, 3, padding="same"), L.BatchNormalization(), L.ReLU()]
    )
    x, y = stem(a), stem(b)
    shared = L.Conv2D(4, 1, activation="relu")
    x, y = shared(x) + x, L.Add()([shared(y), y])
    z = L.Concatenate()([x, y, x * 0.5])
    z = L.MaxPooling2D()(z)
    left = L.GlobalAveragePooling2D()(z)
    head = keras.Model(i := keras.Input((12,)), [L.Dense(5)(i), L.Dense(2, "tanh")(i)])
    p, q = head(left)
    return shaken(keras.Model([a, b], [L.Softmax()(p), q, L.Flatten()(z[:, 1, 1:])]))


def mobile() -> keras.Model:
    """A small network of separable convolutions, as a Sequential without an Input."""
    model = keras.Sequential(
        [
            L.Rescaling(1 / 128, -1.0),
            L.Conv2D(8, 3, 2, "same", use_bias=False),
            L.BatchNormalization(),
            L.ReLU(6.0),
            L.DepthwiseConv2D(3, padding="same", use_bias=False),
            L.BatchNormalization(),
            L.ReLU(6.0),
            L.Conv2D(12, 1),
            L.Dropout(0.2),
            L.GlobalAveragePooling2D(),
            L.Dense(4, "softmax"),
        ]
    )
    model.build((None, 12, 12, 1))
    return shaken(model)


def encoder() -> keras.Model:
    """A layer of a transformer, also looking at a second sequence, with a causal mask."""
    x, m = keras.Input((6, 8)), keras.Input((4, 8))
    y = L.LayerNormalization()(x + L.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
    y = L.LayerNormalization()(L.Add()([y, L.MultiHeadAttention(2, 3, value_dim=5, use_bias=False)(y, m)]))
    z = L.Dense(8)(L.Dense(16, "gelu")(y))
    return shaken(keras.Model([x, m], L.LayerNormalization()(y + z)))


def translator() -> keras.Model:
    """A recurrent network that hands its states to a second one."""
    x, y = keras.Input((5,), dtype="int32"), keras.Input((4, 3))
    words = L.Embedding(7, 6)(x)
    _, h, c = L.LSTM(4, return_state=True)(words)
    z = L.LSTM(4, return_sequences=True)(y, initial_state=[h, c])
    z = L.Bidirectional(L.GRU(3, return_sequences=True))(z)
    return shaken(keras.Model([x, y], L.TimeDistributed(L.Dense(5, "softmax"))(z)))


@pytest.mark.parametrize("make", [functional, mobile, encoder, translator])
def test_whole_networks(make: Callable[[], keras.Model]) -> None:
    compare(make(), 1e-4)


def test_shared_weights_are_stored_once() -> None:
    graph = compare(functional(), 1e-4)
    kernels = [t for t in graph.tensors.values() if t.constant and t.shape == (4, 1, 1, 4)]
    assert len(kernels) == 1


def test_no_transpose_is_left() -> None:
    assert not [n for n in lilliput.load(mobile()).nodes if n.op.as_permutation() is not None]


def test_adapted_normalization() -> None:
    layer = L.Normalization()
    layer.adapt(np.random.default_rng(0).normal(3, 2, (100, 4)).astype(np.float32))
    x = keras.Input((4,))
    compare(keras.Model(x, layer(x)))


def test_same_average_pooling_leaves_padding_out() -> None:
    """Where more is padded behind: the mean of what is there, as with TensorFlow; Keras on torch repeats the border."""
    graph = lilliput.load(one(L.AveragePooling1D(3, 3, "same"), 4, 1))
    x = np.array([1, 2, 3, 10], np.float32).reshape(1, 4, 1)
    (y,) = (step_through(graph, {graph.inputs[0]: x})[name] for name in graph.outputs)
    assert y.reshape(-1).tolist() == [1.5, 6.5]


def test_a_file_needs_no_keras(tmp_path: Path) -> None:
    """The importer reads the file itself: neither Keras nor h5py is loaded."""
    path = tmp_path / "m.keras"
    mobile().save(path)
    code = (
        "import sys; from pathlib import Path; from lilliput.loading import load; "
        f"load(Path({str(path)!r})); assert not {{'keras', 'h5py', 'torch'}} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_open_shapes_are_asked_for(tmp_path: Path) -> None:
    model = one(L.GlobalMaxPooling1D(), None, 3)
    path = tmp_path / "m.keras"
    model.save(path)
    name = model.layers[0].name
    with pytest.raises(UserError, match=f"input '{name}' has the shape .*--shape {name}="):
        lilliput.load(path)
    graph = lilliput.load(path, shapes={name: (1, 7, 3)})
    assert graph.tensors[graph.inputs[0]].shape == (1, 7, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["lstm", "gru, reset before", "bidirectional lstm", "conv2d transposed, same"]
)
def test_layers_in_int8(name: str) -> None:
    """numpy and the C on the host agree in every bit, recurrent layers with integer states."""
    model = ALONE[name]()
    graph = lilliput.load(model)
    small = lilliput.quantize(graph, np.concatenate([drawn(model, seed)[0] for seed in range(8)]))
    cases = [Case("float32", plan(graph)), Case("int8", plan(small))]
    assert host_differences(cases, host_models(cases), 0, 3) == []
    y = small.tensors[small.outputs[0]]
    assert y.dtype == "int8"


@pytest.mark.slow
@pytest.mark.parametrize("make", [functional, mobile, encoder])
def test_c_equals_the_reference(make: Callable[[], keras.Model]) -> None:
    """In float32, and quantized with random samples: numpy and the C on the host agree, integers in every bit."""
    model = make()
    graph = lilliput.load(model)
    xs = [drawn(model, seed) for seed in range(8)]
    samples = {name: np.concatenate([x[i] for x in xs]) for i, name in enumerate(graph.inputs)}
    small = lilliput.quantize(graph, samples)
    cases = [Case("float32", plan(graph)), Case("int8", plan(small))]
    assert host_differences(cases, host_models(cases), 0, 3) == []
    real = step_through(graph, {name: x[:1] for name, x in samples.items()})
    feed = {name: small.tensors[name].q.quantize(x[:1], "int8") for name, x in samples.items()}
    found = step_through(small, feed)
    for name, own in zip(graph.outputs, small.outputs, strict=True):
        y = small.tensors[own].q.dequantize(found[own])
        assert np.abs(y - real[name]).max() < 0.15 * max(np.abs(real[name]).max(), 0.1)


# ---- refusals


REFUSED: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "mask": (lambda: one(L.Embedding(5, 3, mask_zero=True), 6, dtype="int32"), r"'embedding\S*' .*mask_zero"),
    "masking": (lambda: one(L.Masking(), 6, 2), r"\(Masking\) is not supported"),
    "stateful": (
        lambda: shaken(keras.Sequential([keras.Input((3, 2), batch_size=1), L.GRU(2, stateful=True)])),
        "stateful",
    ),
    "lambda": (lambda: one(L.Lambda(lambda x: x * 2), 6), "Python code, which is never run"),
    "unknown layer": (lambda: one(L.ConvLSTM1D(2, 3), 4, 5, 2), r"\(ConvLSTM1D\) is not supported\. Supported: "),
    "unknown activation": (lambda: one(L.Dense(3, "glu"), 4), "activation is 'glu', expected one of linear"),
    "gate through another function": (lambda: one(L.GRU(3, "gelu"), 4, 2), "'gelu', expected one of linear, tanh"),
    "gated attention": (
        lambda: keras.Model(x := keras.Input((4, 6)), L.MultiHeadAttention(2, 3, use_gate=True)(x, x)),
        "'use_gate'=True is not supported",
    ),
    "attention over several axes": (
        lambda: keras.Model(x := keras.Input((4, 3, 6)), L.MultiHeadAttention(2, 3, attention_axes=(1, 2))(x, x)),
        "expected 3 dimensions",
    ),
    "softmax over another part": (lambda: one(L.Softmax(axis=[1, 2]), 4, 6), "axis is"),
    "two thresholds": (lambda: one(L.ReLU(negative_slope=0.1, threshold=1.0), 4), "only one"),
    "quantized by Keras": (lambda: _quantized(), "float32, .*quantize with Lilliput"),
}  # fmt: skip


def _quantized() -> keras.Model:
    model = one(L.Dense(4), 8)
    model.quantize("int8")
    return model


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_name_the_layer(name: str) -> None:
    make, words = REFUSED[name]
    with pytest.raises(UserError, match=words):
        lilliput.load(make())


class Own(L.Layer):
    def call(self, x: object) -> object:
        return x


def test_own_layers_are_refused() -> None:
    with pytest.raises(UserError, match=r"custom class 'Own'.*a file's code is never run"):
        lilliput.load(one(Own(), 4))


def test_unbuilt_models_are_refused() -> None:
    with pytest.raises(UserError, match="never built; call it once"):
        lilliput.load(keras.Sequential([L.Dense(3)]))
