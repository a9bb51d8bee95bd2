"""Preprocessing: its formula, its record, and when the input's quantization does it all."""

from __future__ import annotations

import numpy as np
import pytest

from lilliput.data import (
    Preprocess,
    fit_preprocess,
    load_digits,
)
from lilliput.errors import UserError


def test_preprocess_formula_and_record() -> None:
    p = Preprocess(2, 3, 3, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    x = np.random.default_rng(0).integers(0, 256, (4, 2, 3, 3)).astype(np.uint8)
    expected = (x / 255 - np.array(p.mean)) / np.array(p.std)
    # Two float32 roundings of values below 4: half a unit in the last place each.
    np.testing.assert_allclose(p.apply(x), expected, atol=1e-6)
    assert Preprocess.from_json(p.to_json()) == p
    assert p.input_quant() is None


def test_pixels_become_the_input_quantization_exactly() -> None:
    x = load_digits()[0].x[:500]
    p = fit_preprocess(x)
    quant = p.input_quant()
    assert quant is not None
    scale, zero = quant
    levels = np.arange(256, dtype=np.uint8).reshape(256, 1, 1, 1)
    one = Preprocess(1, 1, 1, p.mean, p.std)
    real = scale * ((levels.astype(int) - 128) - zero)
    # The same value up to float32 rounding, a thousandth of one grey level.
    np.testing.assert_allclose(one.apply(levels), real, atol=scale / 1000)
    assert abs(p.apply(x).mean()) < 2 * scale
    assert abs(p.apply(x).std() - 1) < 0.01


def test_features_are_scaled_each() -> None:
    x = (
        np.random.default_rng(0)
        .normal([1, 100, 5], [1, 10, 0], (500, 3))
        .astype(np.float32)[:, None, None, :]
    )
    p = fit_preprocess(x)
    z = p.apply(x).reshape(500, 3)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(z.std(0), [1, 1, 0], atol=1e-4)
    assert p.input_quant() is None


def test_preprocess_refusals() -> None:
    with pytest.raises(UserError, match="above 0"):
        Preprocess(2, 2, 1, (0.0,), (0.0,))
    with pytest.raises(UserError, match="2 values for 3 channels"):
        Preprocess(2, 2, 3, (0.0, 0.0))
    with pytest.raises(UserError, match="finite"):
        Preprocess(2, 2, 1, (float("nan"),))
    with pytest.raises(UserError, match=r"expected \(2, 2, 1\)"):
        Preprocess(2, 2, 1).apply(np.zeros((1, 3, 2, 1), np.uint8))
    with pytest.raises(UserError, match="not one of ours"):
        Preprocess.from_json({"height": 2})
