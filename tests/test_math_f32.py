"""The float32 functions of src/lilliput/c against float64: errors in units in the last place, special numbers."""

from __future__ import annotations

import ctypes
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lilliput.graph import Array
from lilliput.toolchain import find_compiler

HEADERS = Path(__file__).parents[1] / "src/lilliput/c"
COUNT = 100_000
erf, erfc = (np.vectorize(f, otypes=[np.float64]) for f in (math.erf, math.erfc))

# Function -> (header, the same in float64, largest error in units in the last place of a normal number).
FUNCTIONS: dict[str, tuple[str, Callable[[Array], Array], float]] = {
    "exp_f32": ("math_f32", np.exp, 1.1),
    "tanh_of": ("math_f32", np.tanh, 1.6),
    "log_of": ("logarithm_f32", np.log, 1),
    "log1p_of": ("logarithm_f32", np.log1p, 2),
    "expm1_of": ("logarithm_f32", np.expm1, 3),
    "sqrt_of": ("logarithm_f32", np.sqrt, 0.5),
    "rsqrt_of": ("logarithm_f32", lambda x: 1 / np.sqrt(x), 1.5),
    "sin_of": ("trigonometry_f32", np.sin, 3),
    "cos_of": ("trigonometry_f32", np.cos, 3),
    "tan_of": ("trigonometry_f32", np.tan, 4),
    "asin_of": ("trigonometry_f32", np.arcsin, 3),
    "acos_of": ("trigonometry_f32", np.arccos, 3),
    "atan_of": ("trigonometry_f32", np.arctan, 3),
    "sinh_of": ("hyperbolic_f32", np.sinh, 4),
    "cosh_of": ("hyperbolic_f32", np.cosh, 4),
    "asinh_of": ("hyperbolic_f32", np.arcsinh, 4),
    "acosh_of": ("hyperbolic_f32", np.arccosh, 4),
    "atanh_of": ("hyperbolic_f32", np.arctanh, 4),
    "erf_of": ("erf_f32", erf, 2),
    "erfc_of": ("erf_f32", erfc, 8),
    "softplus_of": ("activations_f32", lambda x: np.logaddexp(0, x), 3),
    "trunc_of": ("rounding_f32", np.trunc, 0),
    "floor_of": ("rounding_f32", np.floor, 0),
    "ceil_of": ("rounding_f32", np.ceil, 0),
    "round_of": ("rounding_f32", np.round, 0),
}
PAIRS: dict[str, tuple[str, Callable[[Array, Array], Array], float]] = {
    "pow_floats": ("logarithm_f32", np.power, 3),
    "fmod_floats": ("rounding_f32", np.fmod, 0),
    "mod_floats": ("rounding_f32", np.mod, 0.5),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    folder = tmp_path_factory.mktemp("math")
    lines = [f'#include "{h}.h"' for h in sorted({h for h, _, _ in (*FUNCTIONS.values(), *PAIRS.values())})]
    for f in FUNCTIONS:
        lines.append(
            f"void all_{f}(const float *x, float *y, int n) {{ for (int i = 0; i < n; i++) y[i] = {f}(x[i]); }}"
        )
    for f in PAIRS:
        lines.append(
            f"void all_{f}(const float *x, const float *z, float *y, int n) "
            f"{{ for (int i = 0; i < n; i++) y[i] = {f}(x[i], z[i]); }}"
        )
    source, out = folder / "all.c", folder / "all.so"
    source.write_text("\n".join(lines) + "\n")
    flags = ["-std=c99", "-O2", "-ffp-contract=off", "-fPIC", "-shared", f"-I{HEADERS}"]
    # Undefined behaviour stops the process: no conversion out of range, no shift too far, for any bits.
    flags += ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
    command = [*find_compiler("zig").command, *flags, str(source), "-o", str(out)]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(out))


def numbers(rng: np.random.Generator) -> Array:
    """Any bits, common sizes, the neighbourhood of one, and the special numbers."""
    bits = rng.integers(0, 2**32, COUNT, dtype=np.uint64).astype(np.uint32).view(np.float32)
    special = [
        0,
        -0.0,
        np.inf,
        -np.inf,
        np.nan,
        1,
        -1,
        0.5,
        -0.5,
        1.5,
        2.5,
        -1.5,
        1e-45,
        -1e-45,
        3.4e38,
        -3.4e38,
    ]
    parts = (rng.normal(0, 1, COUNT), rng.uniform(-100, 100, COUNT), 1 + rng.normal(0, 0.01, COUNT), special)
    return np.concatenate([bits, *(np.asarray(p, np.float32) for p in parts)])


def worst(found: Array, exact: Array) -> float:
    """Largest error in units in the last place of the exact value; fails where infinity, zero or NaN is missed."""
    with np.errstate(all="ignore"):
        nearest = exact.astype(np.float32)
        unit = np.spacing(np.maximum(np.abs(nearest), np.float32(2.0**-126))).astype(np.float64)
        error = np.abs(found.astype(np.float64) - exact) / unit
    plain = np.isfinite(nearest)
    strange = ~plain & ~((np.isnan(nearest) & np.isnan(found)) | (nearest == found))
    assert not strange.any(), f"{found[strange][:3]} where {exact[strange][:3]} is right"
    assert np.isfinite(found[plain]).all()
    return float(error[plain].max(initial=0))


def pointer(x: Array) -> ctypes.c_void_p:
    return x.ctypes.data_as(ctypes.c_void_p)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_one_number(library: ctypes.CDLL, name: str) -> None:
    _, exact, bound = FUNCTIONS[name]
    x = numbers(np.random.default_rng(sum(map(ord, name))))
    y = np.empty_like(x)
    getattr(library, f"all_{name}")(pointer(x), pointer(y), len(x))
    with np.errstate(all="ignore"):
        assert worst(y, exact(x.astype(np.float64))) <= bound + 0.001  # of float64's own rounding


@pytest.mark.parametrize("name", PAIRS)
def test_functions_of_two_numbers(library: ctypes.CDLL, name: str) -> None:
    _, exact, bound = PAIRS[name]
    rng = np.random.default_rng(sum(map(ord, name)))
    x = np.concatenate([numbers(rng), np.abs(rng.normal(0, 3, COUNT)).astype(np.float32)])
    z = rng.permutation(x)
    z[-COUNT:] = rng.normal(0, 20, COUNT)
    z[: COUNT // 4] = rng.integers(-9, 9, COUNT // 4)
    y = np.empty_like(x)
    getattr(library, f"all_{name}")(pointer(x), pointer(z), pointer(y), len(x))
    with np.errstate(all="ignore"):
        assert worst(y, exact(x.astype(np.float64), z.astype(np.float64))) <= bound + 0.001
