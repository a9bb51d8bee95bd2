"""Linear attention: a matrix per head in place of all steps before; ONNX's LinearAttention."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lilliput.graph import Array, Shape, Tensor
from lilliput.op import Example, Kernel, Op, Params, Site, register

HERE = Path(__file__).parent


def _is_f32(site: Site) -> bool:
    return all(t.dtype == "float32" for t in (*site.ins, *site.outs))


def _params(site: Site) -> Params:
    op = site.op
    assert isinstance(op, LinearAttention)
    n, steps, _ = site.x.shape
    _, heads, keys, values = site.ins[3].shape
    return {
        "n": n,
        "steps": steps,
        "heads": heads,
        "group": op.heads // heads,
        "keys": keys,
        "values": values,
        "decays": site.ins[4].shape[-1] if op.gated else 0,
        "betas": site.ins[5].shape[-1] if op.delta else 0,
        "scale": op.scale,
    }


@register
@dataclass(frozen=True)
class LinearAttention(Op):
    """(q, k, v, memory, decay, beta) -> (y, memory).

    q [n, steps, heads * keys], k and v [n, steps, shared * keys or values], memory [n, shared, keys, values];
    `heads`, those of the queries, are a multiple of the shared ones. In every step the memory is multiplied by
    e^decay if `gated`, learns v, or with `delta` beta (v - what it says for k), and answers the queries, times
    `scale`. decay is [n, steps, shared] or [n, steps, shared * keys], beta [n, steps, shared] or [n, steps, 1];
    both are there in any case.
    """

    heads: int = 1
    scale: float = 1.0
    gated: bool = False
    delta: bool = False

    name: ClassVar[str] = "linear_attention"
    operands: ClassVar[int | None] = 6
    kernels = (Kernel(HERE / "linear_attention_f32.c", _is_f32, _params, reads=(0, 1, 2, 3, 4, 5)),)

    def infer(self, ins: Sequence[Tensor]) -> tuple[Shape, ...]:
        return (*ins[0].shape[:2], self.heads * ins[3].shape[3]), ins[3].shape

    def check(self, site: Site) -> str | None:
        if not _is_f32(site):
            return f"its tensors are {', '.join(t.dtype for t in site.ins)}; all must be float32"
        if len(site.ins[3].shape) != 4 or any(len(t.shape) != 3 for t in site.ins if t is not site.ins[3]):
            return f"shapes {[t.shape for t in site.ins]}, expected three dimensions, of the memory four"
        (n, steps, _), (_, shared, keys, values) = site.x.shape, site.ins[3].shape
        if self.heads < 1 or self.heads % shared:
            return f"{self.heads} heads of queries and {shared} of the memory do not fit"
        wide = [{self.heads * keys}, {shared * keys}, {shared * values}, {shared, shared * keys}, {1, shared}]
        rows = [t for i, t in enumerate(site.ins) if i != 3]
        for t, widths in zip(rows, wide, strict=True):
            if t.shape[:2] != (n, steps) or t.shape[2] not in widths:
                return f"'{t.name}' has the shape {t.shape}, expected ({n}, {steps}, {min(widths)} or {max(widths)})"
        return (
            None if site.ins[3].shape[0] == n else f"memory of {site.ins[3].shape[0]} samples, expected {n}"
        )

    def run(self, site: Site, *xs: Array) -> tuple[Array, ...]:
        return self._steps(np, np.exp, np.stack, *xs)

    def torch(self, site: Site, *xs: Any) -> Any:
        import torch

        # Operands that are not used still take part, so that they have a gradient: of zero.
        y, memory = self._steps(torch, torch.exp, torch.stack, *xs)
        return y + 0 * sum(x.sum() for x in xs), memory

    def _steps(self, library: Any, exp: Any, stack: Any, *xs: Any) -> tuple[Any, Any]:
        """On numpy's arrays or torch's."""
        q, k, v, memory, decay, beta = xs
        n, steps, _ = q.shape
        _, shared, keys, values = memory.shape
        found = []
        for t in range(steps):
            key = k[:, t].reshape(n, shared, keys, 1)
            value = v[:, t].reshape(n, shared, 1, values)
            if self.gated:
                memory = memory * exp(decay[:, t].reshape(n, shared, -1, 1))
            if self.delta:
                known = (memory * key).sum(2)[:, :, None]
                value = beta[:, t].reshape(n, -1, 1, 1) * (value - known)
            memory = memory + key * value
            query = q[:, t].reshape(n, shared, self.heads // shared, keys)
            found.append((query @ memory).reshape(n, -1) * self.scale)
        return stack(found, 1), memory

    def macs(self, site: Site) -> int:
        _, shared, keys, values = site.ins[3].shape
        each = self.heads + shared * (1 + int(self.gated) + int(self.delta))
        return site.x.shape[0] * site.x.shape[1] * keys * values * each

    @classmethod
    def _drawn(
        cls, n: int, steps: int, shared: int, keys: int, values: int, op: LinearAttention, why: str
    ) -> Example:
        wide = op.heads * keys, shared * keys, shared * values
        decays, betas = (shared * keys if op.delta else shared), (1 if op.gated else shared)
        q, k, v, decay, beta = ((n, steps, w) for w in (*wide, decays, betas))
        limits = {4: (-2.0, 0.0), 5: (0.0, 0.5)}
        return Example(
            op, (q, k, v, (n, shared, keys, values), decay, beta), why=why, integer=False, limits=limits
        )

    @classmethod
    def examples(cls) -> Iterator[Example]:
        yield cls._drawn(1, 4, 2, 3, 5, cls(2, 0.5), "learns and answers")
        yield cls._drawn(2, 3, 2, 4, 3, cls(4, 1.0, gated=True), "forgets, two queries per head")
        yield cls._drawn(1, 5, 3, 2, 2, cls(3, 0.7, delta=True), "corrects")
        yield cls._drawn(
            2, 3, 1, 3, 4, cls(2, 0.5, gated=True, delta=True), "all of it, one decay per feature"
        )
