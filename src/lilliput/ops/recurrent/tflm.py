"""TFLM's integer LSTM (UNIDIRECTIONAL_SEQUENCE_LSTM): input, result and state int8 or int16, gates and cell int16.

Every product of matrix and vector is requantized to int16 on its own before the two are added, with saturation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lilliput import fixed
from lilliput.graph import INT_RANGE, Array, Graph, Node, Quant, Shape, Tensor
from lilliput.ops.recurrent import integer

if TYPE_CHECKING:
    from lilliput.op import Site
    from lilliput.ops.recurrent.common import Step
    from lilliput.ops.recurrent.lstm import Lstm

Multiplier = tuple[int, int]


def is_tflm(site: Site) -> bool:
    """Whether a site has TFLM's types: the state has the input's."""
    return site.x.dtype in ("int8", "int16") and site.outs[1].dtype == site.x.dtype


def refuse(site: Site, op: Lstm) -> str | None:
    """Why TFLM's form does not take these operands, or None."""
    x, w, r, b, h, c = site.ins[:6]
    y, h_after, c_after = site.outs
    found = [t.dtype for t in (x, w, r, b, h, c, y, h_after, c_after)]
    wide = x.dtype == "int16"
    wanted = [
        x.dtype,
        "int8",
        "int8",
        "int64" if wide else "int32",
        x.dtype,
        "int16",
        x.dtype,
        x.dtype,
        "int16",
    ]
    if found != wanted:
        return f"its tensors are {', '.join(found)}; expected {', '.join(wanted)}"
    if not (y.q.same(h.q) and h_after.q.same(h.q) and c_after.q.same(c.q)):
        return "result and states must have one quantization from step to step"
    if wide and (x.q.z or h.q.z):
        return f"int16 has the zero points {x.q.z} and {h.q.z}, expected 0"
    power = integer.power_of(c.q)
    if power is None or not -30 <= power <= 2:
        return f"the cell has scale {float(c.q.s):.6g} and zero point {c.q.z}, expected a power of two and 0"
    if op.clip or op.peepholes or op.coupled or not op.usual_functions():
        return "TFLM's integers have neither clip, peepholes, coupled gates nor other functions than sigmoid and tanh"
    return _overflow(site, op)


def _overflow(site: Site, op: Lstm) -> str | None:
    """Why a sum or its scaling might not fit, for some input, or None."""
    wide = site.x.dtype == "int16"
    most, reach = (fixed.WIDE_REACH, 1 << 15) if wide else (2**31, 255)
    w, r, b = (np.abs(integer.constant(t).astype(np.float64)) for t in site.ins[1:4])
    largest = max(float((b + reach * w.sum(axis=1)).max()), float(reach * r.sum(axis=1).max()))
    if largest >= most:
        return f"sums may reach {largest:.3g}, at most {float(most):.3g} fit"
    p = parameters(site, op)
    shift = int(max(p.sx.max(), p.sh.max()))
    if wide and shift > fixed.WIDE_SHIFT:
        return f"scales of {float(site.x.q.s):.3g} and {float(site.ins[1].q.scale.max()):.3g} are too large for a gate"
    return None


@dataclass(frozen=True, eq=False)
class Parameters:
    """Multipliers (and shifts) of both products by row, and of the three products of the cell."""

    mx: Array
    sx: Array
    mh: Array
    sh: Array
    forget: Multiplier
    fresh: Multiplier
    out: Multiplier
    power: int
    cell_clip: int
    """In steps; 2^15 for none."""


def parameters(site: Site, op: Lstm) -> Parameters:
    x, w, r, _, h, c = site.ins[:6]
    mx, sx = fixed.multipliers(_effective(x.q, w.q, len(integer.constant(w))))
    mh, sh = fixed.multipliers(_effective(h.q, r.q, len(integer.constant(r))))
    cell, unit = float(c.q.s), integer.UNIT
    power = integer.power_of(c.q)
    assert power is not None
    clip = math.trunc(min(float(np.float32(op.cell_clip)) / cell, 32767.0)) if op.cell_clip else integer.ONE
    return Parameters(
        mx,
        sx,
        mh,
        sh,
        fixed.multiplier(unit * cell / cell),
        fixed.multiplier(unit * unit / cell),
        fixed.multiplier(unit * unit / float(h.q.s)),
        power,
        clip,
    )


def _effective(x: Quant, w: Quant, rows: int) -> Array:
    """input scale x weight scale in steps of a gate's argument; the product is a double."""
    return np.broadcast_to(float(x.s) * w.scale.astype(np.float64) / integer.GATE, rows)


def stepper(site: Site, op: Lstm) -> Step:
    p = parameters(site, op)
    x_q, h_q = site.x.q, site.ins[4].q
    w, r, b = (integer.constant(t) for t in site.ins[1:4])
    wide = site.x.dtype == "int16"
    lo, hi = INT_RANGE[site.y.dtype]

    def share(total: Array, m: Array, shift: Array) -> Array:
        scaled = fixed.scale_wide(total, fixed.reduced(m), shift) if wide else fixed.scale_by(total, m, shift)
        return integer.clamp16(scaled)

    def scaled(a: Array, by: Multiplier) -> Array:
        return fixed.scale_by(a, *by)

    def step(x: Array, states: list[Array]) -> list[Array]:
        h, c = (s.astype(np.int64) for s in states)
        of_x = share(integer.matrix(x.astype(np.int64) - x_q.z, w) + b, p.mx, p.sx)
        of_h = share(integer.matrix(h - h_q.z, r), p.mh, p.sh)
        arguments = integer.clamp16(of_x + of_h)
        i, f, g, o = np.split(arguments, 4, axis=1)
        held = integer.clamp16(scaled(integer.sigmoid(f) * c, p.forget))
        fresh = integer.clamp16(scaled(integer.sigmoid(i) * integer.tanh(g), p.fresh))
        c = np.clip(integer.clamp16(held + fresh), -p.cell_clip, p.cell_clip)
        h = scaled(integer.tanh(c, p.power) * integer.sigmoid(o), p.out) + h_q.z
        return [np.clip(h, lo, hi).astype(site.y.dtype), c.astype(np.int16)]

    return step


def example(op: Lstm, rng: np.random.Generator, n: int, t: int, i: int, dtype: str = "int8") -> Graph:
    """One layer with random integers and states that are given."""
    h = op.hidden
    x_q, h_q, c_q = Quant.per_tensor(0.03, 5), Quant.per_tensor(1 / 128, -3), Quant.per_tensor(2.0**-11, 0)
    if dtype == "int16":
        x_q, h_q = Quant.per_tensor(0.0001, 0), Quant.per_tensor(1 / 32768, 0)
    tensors: dict[str, Tensor] = {}

    def add(
        name: str, shape: Shape, dtype: str, quant: Quant | None = None, data: Array | None = None
    ) -> str:
        tensors[name] = Tensor(name, shape, dtype, quant, data)
        return name

    def weights(name: str, columns: int) -> str:
        data = rng.integers(-127, 128, (4 * h, columns)).astype(np.int8)
        scale = np.repeat(rng.uniform(0.003, 0.01, 4), h).astype(np.float32)
        return add(name, data.shape, "int8", Quant(scale, np.zeros(4 * h, np.int32), 0), data)

    sums = "int64" if dtype == "int16" else "int32"
    bias, lengths = rng.integers(-3000, 3000, 4 * h).astype(sums), np.full(n, t, np.int32)
    inputs: tuple[str, ...] = (add("x", (n, t, i), dtype, x_q), weights("w", i), weights("r", h))
    inputs += (add("b", bias.shape, sums, None, bias), add("h0", (n, h), dtype, h_q))
    inputs += (add("c0", (n, h), "int16", c_q), add("lengths", (n,), "int32", None, lengths))
    outputs = (
        add("y", (n, t, h), dtype, h_q),
        add("h", (n, h), dtype, h_q),
        add("c", (n, h), "int16", c_q),
    )
    return Graph(("x", "h0", "c0"), outputs, (Node(op, inputs, outputs, "lstm"),), tensors)
