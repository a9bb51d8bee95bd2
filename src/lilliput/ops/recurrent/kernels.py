"""The kernels of recurrent layers: where each may be used and what it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lilliput import fixed
from lilliput.graph import INT_RANGE, ITEM_SIZE, Array
from lilliput.op import Kernel, Params, Site
from lilliput.ops.recurrent import integer, tflm
from lilliput.ops.recurrent.activations import CODES, RELU, SIGMOID, TANH
from lilliput.ops.recurrent.common import HERE, B, R, W
from lilliput.ops.unary import int16


def _op(site: Site) -> Any:
    return site.op


def _data(site: Site, i: int) -> Array:
    found = site.ins[i].data
    assert found is not None
    return found


def _sizes(site: Site) -> Params:
    op = _op(site)
    n, t, i = site.x.shape
    return {"n": n, "t": t, "i": i, "h": op.hidden, "reverse": op.reverse, "last": op.last}


def _is_f32(site: Site) -> bool:
    return site.x.dtype == site.y.dtype == "float32"


def _is_usual_f32(site: Site) -> bool:
    return _is_f32(site) and all(f in (SIGMOID, TANH, RELU) for f in _op(site).activations)


def _f32(site: Site) -> Params:
    op = _op(site)
    return {
        **_sizes(site),
        "w": _data(site, W),
        "r": _data(site, R),
        "b": _data(site, B),
        "functions": np.array([CODES[name] for name, _, _ in op.activations], np.int32),
        "factors": np.array([f[1:] for f in op.activations], np.float32),
        "clip": float(op.clip) or float(np.finfo(np.float32).max),
    }


def _gru_f32(site: Site) -> Params:
    return {**_f32(site), "linear_before_reset": _op(site).linear_before_reset}


def _lstm_f32(site: Site) -> Params:
    op = _op(site)
    peepholes = _data(site, op.lengths + 1) if op.peepholes else 0
    cell_clip = float(op.cell_clip) or float(np.finfo(np.float32).max)
    return {**_f32(site), "p": peepholes, "coupled": op.coupled, "cell_clip": cell_clip}


def _is_s16(site: Site) -> bool:
    """int8 in and out, int16 states; what a state starts from may still have to be requantized."""
    results = [t.dtype for t in site.outs]
    return (
        site.x.dtype == "int8"
        and results == ["int8", *["int16"] * len(_op(site).states)]
        and not _blocked(site)
    )


def _blocked(site: Site) -> str | None:
    reason: str | None = _op(site).no_integers(site)
    return reason


def _s16(site: Site) -> Params:
    op = _op(site)
    s = integer.layer(site, op)
    m, shift = integer.shown_multiplier(site)
    return {
        **_sizes(site),
        "w": s.w,
        "r": s.r,
        "mx": s.sums.mx,
        "mh": s.sums.mh,
        "b": s.sums.b,
        "table": int16.LOGISTIC,
        "mb": s.sums.mb,
        "shift": s.sums.n,
        "in_zp": s.x_zero,
        "lo": s.bounds[0],
        "hi": s.bounds[1],
        "mult": m,
        "out_shift": shift,
        "out_zp": site.y.q.z,
    }


def _rnn_s16(site: Site) -> Params:
    return {**_s16(site), "relu": _op(site).activations == (RELU,)}


def _gru_s16(site: Site) -> Params:
    return {**_s16(site), "linear_before_reset": _op(site).linear_before_reset}


def _lstm_s16(site: Site) -> Params:
    op = _op(site)
    power = integer.power_of(site.outs[2].q)
    assert power is not None
    factor, shift = integer.tanh_argument(power)
    lo, hi = op.cell_bounds(site)
    return {
        **_s16(site),
        "coupled": op.coupled,
        "cell_shift": 15 + power,
        "tanh_factor": factor,
        "tanh_shift": shift,
        "cell_lo": lo,
        "cell_hi": hi,
    }


def _is_tflm(dtype: str) -> Callable[[Site], bool]:
    """TFLM's form with this type of input, state and result."""
    return lambda site: site.x.dtype == dtype and tflm.is_tflm(site) and tflm.refuse(site, _op(site)) is None


def _lstm_tflm(site: Site) -> Params:
    op = _op(site)
    p = tflm.parameters(site, op)
    w, r, b = (_data(site, i) for i in (W, R, B))
    wide = site.x.dtype == "int16"
    factor, shift = integer.tanh_argument(p.power)
    x_zero, h_zero = site.x.q.z, site.outs[1].q.z
    lo, hi = INT_RANGE[site.y.dtype]
    return {
        **_sizes(site),
        "w": w,
        "r": r,
        "bx": b if wide else (b - x_zero * w.sum(axis=1, dtype=np.int64)).astype(np.int32),
        "bh": 0 if h_zero == 0 else (-h_zero * r.sum(axis=1, dtype=np.int64)).astype(np.int32),
        "mx": fixed.reduced(p.mx) if wide else p.mx,
        "sx": p.sx,
        "mh": fixed.reduced(p.mh) if wide else p.mh,
        "sh": p.sh,
        "table": int16.LOGISTIC,
        "forget_mult": p.forget[0],
        "forget_shift": p.forget[1],
        "fresh_mult": p.fresh[0],
        "fresh_shift": p.fresh[1],
        "out_mult": p.out[0],
        "out_shift": p.out[1],
        "out_zp": h_zero,
        "lo": lo,
        "hi": hi,
        "tanh_factor": factor,
        "tanh_shift": shift,
        "cell_clip": p.cell_clip,
    }


def _shorts(vectors: int) -> Any:
    """Scratch memory for the widened input and some vectors of H int16."""
    return lambda site: 2 * (site.x.shape[2] + vectors * _op(site).hidden)


def _floats(vectors: int) -> Any:
    """Scratch memory for some vectors of H floats."""
    return lambda site: 4 * vectors * _op(site).hidden


RNN_S16 = Kernel(HERE / "rnn_s16.c", _is_s16, _rnn_s16, scratch=_shorts(1), reads=(0, 4, 5))
GRU_S16 = Kernel(HERE / "gru_s16.c", _is_s16, _gru_s16, scratch=_shorts(2), reads=(0, 4, 5))
LSTM_TFLM = tuple(
    Kernel(
        HERE / "lstm_tflm.c",
        _is_tflm(dtype),
        _lstm_tflm,
        scratch=lambda site: ITEM_SIZE[site.x.dtype] * _op(site).hidden,
        reads=(0, 4, 5, 6),
        tokens={"T": f"{dtype}_t", "A": sums, "SCALE": scale},
    )
    for dtype, sums, scale in (("int8", "int32_t", "scale_by"), ("int16", "int64_t", "scale_wide"))
)
LSTM_S16 = Kernel(HERE / "lstm_s16.c", _is_s16, _lstm_s16, scratch=_shorts(1), reads=(0, 4, 5, 6))


def _float_kernels(
    name: str, params: Callable[[Site], Params], vectors: int, reads: tuple[int, ...]
) -> tuple[Kernel, Kernel]:
    """Two forms of a float32 kernel: for the usual activation functions, and for any."""
    usual, every = (
        Kernel(HERE / f"{name}.c", when, params, scratch=_floats(vectors), reads=reads, tokens={"GATE": gate})
        for when, gate in ((_is_usual_f32, "usual_gate"), (_is_f32, "any_gate"))
    )
    return usual, every


RNN_F32 = _float_kernels("rnn_f32", _f32, 1, (0, 4, 5))
GRU_F32 = _float_kernels("gru_f32", _gru_f32, 2, (0, 4, 5))
LSTM_F32 = _float_kernels("lstm_f32", _lstm_f32, 1, (0, 4, 5, 6))
