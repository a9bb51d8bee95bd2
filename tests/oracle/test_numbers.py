"""Later functions of one and two operands, comparisons, logic, choices: each integer and truth value is TFLM's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from test_elementwise import EVERY, broadcast_shapes, pairs, random_quant, unary

from against_tflm import OneOp, compare, int8, log_uniform, zero_point
from lilliput.errors import UserError
from lilliput.graph import Array, Shape
from lilliput.importers.tflite import load_tflite
from tflite_builder import Model

pytestmark = pytest.mark.slow
Rng = np.random.Generator
Place = tuple[tuple[float, int], tuple[float, int], dict[str, float]]


def absolute(rng: Rng) -> Place:
    x = random_quant(rng)
    return x, x if rng.random() < 0.3 else random_quant(rng), {}


def elu(rng: Rng) -> Place:
    return random_quant(rng, 1e-3, 1), random_quant(rng, 1e-3, 0.3), {}


def rsqrt(rng: Rng) -> Place:
    """TFLM refuses anything below zero: the zero point is the least integer."""
    x = log_uniform(rng, 1e-4, 1)
    return (x, -128), (log_uniform(rng, 1 / np.sqrt(x) / 200, 1 / np.sqrt(x) / 20), zero_point(rng)), {}


UNARY: dict[str, Callable[[Rng], Place]] = {"ABS": absolute, "ELU": elu, "RSQRT": rsqrt}


@pytest.mark.parametrize("op", UNARY)
def test_functions_of_one_element_on_all_values(op: str) -> None:
    rng = np.random.default_rng(sum(map(ord, op)))
    compare([unary(op, [UNARY[op](rng) for _ in range(8)]) for _ in range(8)], 6)


def values(rng: Rng, dtype: str, shape: Shape) -> Array:
    if dtype == "int8":
        return int8(rng, shape)
    if dtype == "bool":
        return np.asarray(rng.integers(0, 2, shape), bool)
    if dtype == "float32":
        return rng.normal(0, 2, shape).astype(np.float32)
    return np.asarray(rng.integers(-4, 5, shape), dtype)


def two(op: str, rng: Rng, dtype: str, result: str, quants: list[tuple[float, int]], **options: str) -> OneOp:
    a, b = broadcast_shapes(rng)
    m = Model()
    given = [quants[i] if dtype == "int8" else () for i in (0, 1)]
    x, z = m.tensor(a, dtype, *given[0]), m.tensor(b, dtype, *given[1])
    y = m.tensor(np.broadcast_shapes(a, b), result, *(quants[2] if result == "int8" else ()))
    m.op(op, [x, z], [y], **options)
    runs = [[values(rng, dtype, a), values(rng, dtype, b)] for _ in range(3)]
    label = f"{op} {dtype} {a} {b} {quants}"
    return OneOp(label, m.inputs(x, z).outputs(y).to_bytes(), runs)


def test_squared_difference() -> None:
    rng = np.random.default_rng(1)
    models = []
    for _ in range(48):
        a = random_quant(rng)
        b = (a[0] * float(rng.choice([1, 0.5, log_uniform(rng, 0.01, 100)])), zero_point(rng))
        y = (max(a[0], b[0]) ** 2 * log_uniform(rng, 30, 300), zero_point(rng))
        models.append(two("SQUARED_DIFFERENCE", rng, "int8", "int8", [a, b, y]))
    compare(models, 24)


def test_prelu() -> None:
    rng = np.random.default_rng(2)
    models = []
    for _ in range(48):
        x, slope = random_quant(rng), random_quant(rng, 0.001, 0.02)
        models.append(two("PRELU", rng, "int8", "int8", [x, slope, random_quant(rng, x[0] / 2, x[0] * 2)]))
    compare(models, 24)


COMPARISONS = ["EQUAL", "NOT_EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL"]


@pytest.mark.parametrize("op", COMPARISONS)
def test_comparisons(op: str) -> None:
    rng = np.random.default_rng(sum(map(ord, op)))
    models = []
    for i in range(36):
        dtype = ("int8", "int8", "int32", "int64", "float32")[i % 5]
        a = random_quant(rng, 0.002, 0.9)
        b = random_quant(rng, 0.002, 0.9) if rng.random() < 0.5 else a
        models.append(two(op, rng, dtype, "bool", [a, b]))
    compare(models, 0)  # of two truth values one mostly makes up more than half


@pytest.mark.parametrize("op", COMPARISONS)
def test_comparisons_of_all_pairs(op: str) -> None:
    """Scales that make many equal after rounding."""
    a, b = pairs()
    models = []
    for sa, za, sb, zb in ((0.5, 0, 0.25, 3), (0.1, -7, 0.1, -7), (0.004, 5, 0.9, -100), (0.3, 0, 0.1, 0)):
        m = Model()
        x, z = m.tensor(a.shape, "int8", sa, za), m.tensor(b.shape, "int8", sb, zb)
        y = m.tensor(a.shape, "bool")
        m.op(op, [x, z], [y])
        models.append(
            OneOp(f"{op} {sa} {za} {sb} {zb}", m.inputs(x, z).outputs(y).to_bytes(), [[a, b], [b, a]])
        )
    compare(models, 0)


@pytest.mark.parametrize("op", ["LOGICAL_AND", "LOGICAL_OR"])
def test_logic(op: str) -> None:
    rng = np.random.default_rng(4)
    compare([two(op, rng, "bool", "bool", []) for _ in range(16)], 1)


@pytest.mark.parametrize(
    ("op", "dtype"),
    [(op, t) for op in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM") for t in ("int32",)]
    + [
        ("MAXIMUM", "int64"),
        ("DIV", "float32"),
        ("SQUARED_DIFFERENCE", "float32"),
        ("SQUARED_DIFFERENCE", "int32"),
    ]
    + [("FLOOR_DIV", "float32"), ("FLOOR_MOD", "float32"), ("PRELU", "float32"), ("SUB", "float32")],
)
def test_numbers_that_stand_for_themselves(op: str, dtype: str) -> None:
    """float32 too is equal in every bit: each is one operation, or exact."""
    rng = np.random.default_rng(5)
    compare([two(op, rng, dtype, dtype, []) for _ in range(12)], 4)


@pytest.mark.parametrize("op", ["ABS", "NEG", "FLOOR", "CEIL", "ROUND", "SQRT", "SQUARE", "LOGICAL_NOT"])
def test_exact_functions_of_one_number(op: str) -> None:
    rng = np.random.default_rng(6)
    dtype = "bool" if op == "LOGICAL_NOT" else "float32"
    x = values(rng, dtype, (1, 200))
    if dtype == "float32":
        x[0, :8] = [0.5, 1.5, 2.5, -0.5, -1.5, 0.0, 1e9, 1.0]
        x = np.abs(x) if op == "SQRT" else x
    m = Model()
    a, y = m.tensor(x.shape, dtype), m.tensor(x.shape, dtype)
    m.op(op, [a], [y])
    compare([OneOp(op, m.inputs(a).outputs(y).to_bytes(), [[x]])], int(dtype != "bool"))


@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_select(dtype: str) -> None:
    rng = np.random.default_rng(7)
    models = []
    for _ in range(16):
        quant = random_quant(rng) if dtype == "int8" else ()
        a, b = broadcast_shapes(rng)
        full = np.broadcast_shapes(a, b)
        c = tuple(1 if rng.random() < 0.3 else d for d in full)
        m = Model()
        x, z, y = (m.tensor(s, dtype, *quant) for s in (a, b, full))
        condition = m.tensor(c, "bool")
        m.op("SELECT_V2", [condition, x, z], [y])
        runs = [[values(rng, "bool", c), values(rng, dtype, a), values(rng, dtype, b)]]
        models.append(OneOp(f"SELECT_V2 {c} {a} {b}", m.inputs(condition, x, z).outputs(y).to_bytes(), runs))
    compare(models, 6)


@pytest.mark.parametrize(
    ("source", "result"),
    [("float32", "int32"), ("int8", "float32"), ("int32", "float32"), ("int32", "int8"), ("bool", "float32")],
)
def test_cast(source: str, result: str) -> None:
    rng = np.random.default_rng(8)
    x = values(rng, source, (1, 40))
    m = Model()
    a, y = m.tensor(x.shape, source), m.tensor(x.shape, result)
    m.op("CAST", [a], [y], in_data_type=source, out_data_type=result)
    compare([OneOp(f"{source} to {result}", m.inputs(a).outputs(y).to_bytes(), [[x]])], int(source != "bool"))


def test_two_quantizations_of_a_choice_are_refused() -> None:
    m = Model()
    c, a, b = m.tensor((1, 4), "bool"), m.tensor((1, 4), "int8", 0.1, 0), m.tensor((1, 4), "int8", 0.2, 0)
    y = m.tensor((1, 4), "int8", 0.1, 0)
    m.op("SELECT_V2", [c, a, b], [y])
    with pytest.raises(UserError, match="they must be equal"):
        load_tflite(m.inputs(c, a, b).outputs(y).to_bytes())


def test_int8_functions_without_a_definition_of_tflm_are_rounded_once() -> None:
    """Against the same in exact steps: every value of a few functions that only we have in int8."""
    from lilliput.graph import Quant, Tensor
    from lilliput.op import Site
    from lilliput.ops.unary import Floor, Gelu, Silu, Sin

    x = Tensor("x", EVERY.shape, "int8", Quant.per_tensor(0.05, 9))
    y = Tensor("y", EVERY.shape, "int8", Quant.per_tensor(0.03, -20))
    real = (EVERY.astype(np.float64) - 9) * float(np.float32(0.05))
    for op in (Gelu(), Silu(), Sin(), Floor()):
        (found,) = op.run(Site(op, (x,), (y,)), EVERY)
        exact = op.real(real) / float(np.float32(0.03)) - 20
        inside = (exact > -128) & (exact < 127)
        assert (np.abs(found - exact)[inside] <= 0.5 + 1e-9).all()
        assert set(found[exact <= -128]) <= {-128}
        assert set(found[exact >= 127]) <= {127}
