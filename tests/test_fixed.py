"""Fixed-point arithmetic against exact rationals and gemmlowp's truncating forms, in numpy and in C."""

from __future__ import annotations

import ctypes
import math
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lilliput import fixed
from lilliput.build import build_host
from lilliput.emit import emit
from lilliput.evaluate import step_through
from lilliput.graph import Graph, Node, Quant, Tensor, verify
from lilliput.host import HostModel, build_library
from lilliput.ops.conv.channels import Channels
from lilliput.ops.requantize import Quantize
from lilliput.plan import plan

C = Path(__file__).parents[1] / "src/lilliput/c"
LEAST, MOST = -(2**31), 2**31 - 1
EDGES = [
    LEAST,
    LEAST + 1,
    -(2**30) - 1,
    -(2**30),
    -(2**30) + 1,
    -3,
    -2,
    -1,
    0,
    1,
    2,
    3,
    2**30 - 1,
    2**30,
    MOST - 1,
    MOST,
]

int32s = st.one_of(st.sampled_from(EDGES), st.integers(LEAST, MOST))
multipliers = st.one_of(st.sampled_from([2**30, 2**30 + 1, MOST]), st.integers(2**30, MOST))
few = settings(max_examples=300, deadline=None)

TWINS = """
#include "requantize.h"
int32_t high(int32_t a, int32_t b);
int32_t high(int32_t a, int32_t b) { return doubling_high_mul(a, b); }
int32_t shifted(int32_t x, int32_t n);
int32_t shifted(int32_t x, int32_t n) { return rounding_shift(x, n); }
int32_t scaled(int32_t x, int32_t m, int32_t shift);
int32_t scaled(int32_t x, int32_t m, int32_t shift) { return scale_by(x, m, shift); }
int32_t right(int32_t x, int32_t m, int32_t n, int32_t two_z_1);
int32_t right(int32_t x, int32_t m, int32_t n, int32_t two_z_1) { return scale_right(x, m, n, two_z_1); }
int32_t saturated(int32_t v);
int32_t saturated(int32_t v) { return saturate_s8(v); }
"""


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The functions of c/requantize.h, stopping the process at undefined behaviour."""
    folder = tmp_path_factory.mktemp("twins")
    (folder / "twins.c").write_text(TWINS)
    return ctypes.CDLL(str(build_host([folder / "twins.c"], [C], folder / "twins.so", sanitize="undefined")))


def truncated(a: int, b: int) -> int:
    """C's integer division."""
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q


def gemmlowp_high_mul(a: int, b: int) -> int:
    """SaturatingRoundingDoublingHighMul as gemmlowp writes it: a signed nudge and a truncating division."""
    if a == b == LEAST:
        return MOST
    product = a * b
    nudge = 2**30 if product >= 0 else 1 - 2**30
    return truncated(product + nudge, 2**31)


def half_away(x: Fraction) -> int:
    return int(math.copysign(math.floor(abs(x) + Fraction(1, 2)), x))


def wrapped(x: int) -> int:
    return (x + 2**31) % 2**32 - 2**31


def exact_scale(x: int, m: int, shift: int) -> int:
    high = gemmlowp_high_mul(wrapped(x << max(shift, 0)), m)
    return half_away(Fraction(high, 2 ** max(-shift, 0)))


@few
@given(int32s, int32s)
def test_high_mul_is_gemmlowps(a: int, b: int) -> None:
    assert int(fixed.doubling_high_mul(a, b)) == gemmlowp_high_mul(a, b)


@few
@given(int32s, st.integers(0, 31))
def test_rounding_shift_is_half_away_from_zero(x: int, n: int) -> None:
    assert int(fixed.rounding_shift(x, n)) == half_away(Fraction(x, 2**n))


@few
@given(int32s, multipliers, st.integers(-31, 30))
def test_scale_by_is_its_two_steps(x: int, m: int, shift: int) -> None:
    assert int(fixed.scale_by(x, m, shift)) == exact_scale(x, m, shift)


@few
@given(int32s, int32s, multipliers, st.integers(-31, 30), st.integers(0, 31))
def test_c_equals_numpy(twins: ctypes.CDLL, a: int, b: int, m: int, shift: int, n: int) -> None:
    if (a, b) != (LEAST, LEAST):  # C's own precondition
        assert twins.high(a, b) == int(fixed.doubling_high_mul(a, b))
    assert twins.shifted(a, n) == int(fixed.rounding_shift(a, n))
    assert twins.scaled(a, m, shift) == int(fixed.scale_by(a, m, shift))
    assert twins.saturated(a) == max(-128, min(127, a))


def test_c_equals_numpy_at_every_edge(twins: ctypes.CDLL) -> None:
    for x in EDGES:
        for shift in range(-31, 31):
            for m in (2**30, 2**30 + 1, 3 * 2**29, MOST - 1, MOST):
                assert (
                    twins.scaled(x, m, shift) == exact_scale(x, m, shift) == int(fixed.scale_by(x, m, shift))
                )


def test_arrays_broadcast_like_single_numbers() -> None:
    x = np.array(EDGES)
    m, shift = np.array([2**30, MOST, 3 * 2**29])[:, None], np.array([-31, 0, 5])[:, None]
    found = fixed.scale_by(x, m, shift)
    assert found.shape == (3, len(EDGES))
    assert found.tolist() == [
        [exact_scale(int(v), int(a), int(s)) for v in x] for a, s in zip(m[:, 0], shift[:, 0], strict=True)
    ]


@few
@given(st.integers(-(2**30) + 1, 2**30 - 1), multipliers, st.integers(1, 31), st.integers(-128, 127))
def test_scale_right_within_its_precondition(twins: ctypes.CDLL, x: int, m: int, n: int, z: int) -> None:
    reach = MOST - abs(2 * z + 1) * 2 ** (n - 1)  # |x| stays below it
    assume(reach > 1)
    limit = min(reach, 2**30) - 1
    for value in {max(-limit, min(limit, x)), limit, -limit, 0, 1, -1}:
        if abs(value) <= limit:
            assert twins.right(value, m, n, 2 * z + 1) == int(fixed.scale_by(value, m, -n)) + z


def test_the_offline_proof_implies_scale_rights_precondition() -> None:
    """Accumulators just inside and outside 2^30, and just inside and outside the rounding's reach."""
    weights = np.full((1, 4), 127, np.int8)
    products = 4 * 127 * 128

    def proven(accumulator: int, scale: float = 2.0**-20, z: int = 0) -> bool:
        m, shift = fixed.multipliers(np.array([scale]))
        return Channels(
            weights, np.array([accumulator - products]), m, shift, 0, z, (-128, 127)
        ).shift_right()

    assert proven(2**30 - 1)
    assert not proven(2**30), "2 x overflows int32"
    assert not proven(2**31 - 1)
    small = 2.0**-25  # n = 24
    reach = MOST - 255 * 2**23
    assert reach > products
    assert proven(reach - 2, small, 127)
    assert not proven(reach + 1, small, 127)
    assert not proven(1000 + products, 1.0), "a left shift"
    assert not proven(1000 + products, 0.0), "no multiplier"


@few
@given(st.floats(1e-9, 1e8, allow_nan=False))
def test_multiplier_is_the_nearest(real: float) -> None:
    m, shift = fixed.multiplier(real)
    assert 2**30 <= m <= MOST
    assert -31 <= shift <= 30
    assert abs(Fraction(m) * Fraction(2) ** (shift - 31) - Fraction(real)) <= Fraction(2) ** (shift - 32)


def test_multiplier_extremes() -> None:
    assert fixed.multiplier(0.0) == (0, 0)
    assert fixed.multiplier(1.0) == (2**30, 1)
    assert fixed.multiplier(0.5) == (2**30, 0)
    assert fixed.multiplier(math.nextafter(1.0, 0.0)) == (2**30, 1), "rounds up to the next power of two"
    assert fixed.multiplier(2.0**-32) == (2**30, -31)
    assert fixed.multiplier(math.nextafter(2.0**-32, 0.0)) == (2**30, -31)
    assert fixed.multiplier(2.0**-33) == (0, 0), "too small for any shift: TFLM gives zero"
    assert fixed.multiplier(2.0**29) == (2**30, 30)
    assert fixed.multiplier(2.0**31) == (MOST, 30), "too large: TFLM saturates"
    m, shift = fixed.multipliers(np.array([0.5, 0.25], np.float32))
    assert (m.dtype, m.tolist(), shift.tolist()) == (np.int32, [2**30, 2**30], [0, -1])


@few
@given(st.floats(-300, 300), st.floats(2.0**-10, 4, width=32), st.integers(-128, 127))
def test_quantize_rounds_halves_away_and_saturates(real: float, scale: float, z: int) -> None:
    quant = Quant.per_tensor(scale, z)
    ratio = Fraction(float(np.float32(np.float32(real) / np.float32(scale))))
    expected = max(-128, min(127, half_away(ratio) + z))
    assert int(quant.quantize(np.array([real], np.float32), "int8")[0]) == expected


@pytest.mark.parametrize(
    ("clamp", "expected"),
    [
        (None, (-128, 127)),
        ((0.0, math.inf), (-10, 127)),
        ((0.0, 6.0), (-10, 50)),
        ((-math.inf, 0.05), (-128, -10 + 1)),  # 0.5 steps: halves away from zero
        ((-0.05, 1e9), (-11, 127)),
        ((100.0, 200.0), (127, 127)),
        ((-200.0, -100.0), (-128, -128)),
    ],
)
def test_clamp_range(clamp: tuple[float, float] | None, expected: tuple[int, int]) -> None:
    assert fixed.clamp_range(clamp, Quant.per_tensor(0.1, -10), "int8") == expected


def test_finish_adds_the_zero_point_before_the_clamp() -> None:
    m, shift = fixed.multiplier(0.5)
    # Without a right shift there is only the high multiply, which rounds halves up.
    acc = np.array([-1000, -3, -1, 1, 3, 1000])
    assert fixed.finish(acc, m, shift, 4, (-5, 10), "int8").tolist() == [
        -5,
        3,
        4,
        5,
        6,
        10,
    ]  # the high multiply rounds halves up


def test_finish_wraps_as_the_c_does() -> None:
    m, shift = fixed.multiplier(1 - 2.0**-28)
    most = 2**31 - 1
    found = fixed.finish(np.array([most, most + 1, -most, -most - 2]), m, shift, 100, (-128, 127), "int8")
    # most + 100 wraps to the least integers; most + 1 is one already, and -most - 2 is the greatest.
    assert found.tolist() == [-128, -128, -128, -128]
    quarter = fixed.multiplier(2.0**-26)
    acc = np.array([most, most + 1, -most - 1, -most - 2])
    assert fixed.finish(acc, *quarter, 0, (-128, 127), "int8").tolist() == [32, -32, -32, 32]


def test_nan_becomes_the_zero_point_in_numpy_and_in_c() -> None:
    quant = Quant.per_tensor(1e-3, -3)
    x = np.array([[np.nan, np.inf, -np.inf, 1e38, -1e38, 0.0, -np.nan]], np.float32)
    tensors = {"x": Tensor("x", x.shape), "y": Tensor("y", x.shape, "int8", quant)}
    planned = plan(verify(Graph(("x",), ("y",), (Node(Quantize(), ("x",), ("y",)),), tensors)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = step_through(planned.graph, {"x": x})["y"]
    assert expected.tolist() == [[-3, 127, -128, 127, -128, -3, -3]]
    emitted = emit(planned, "net")
    model = HostModel(planned, "net", build_library([emitted]), emitted.layers)
    assert np.array_equal(model.run({"x": x})["y"], expected)
