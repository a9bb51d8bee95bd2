"""How torch's attention becomes ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import aten
from lilliput.ops.attention.attend import MASKED, attend, causal, finite
from lilliput.ops.choice.from_onnx import choose

if TYPE_CHECKING:
    from lilliput.importers.torch import Call, TorchBuilder, Value


@aten("scaled_dot_product_attention")
def scaled_dot_product_attention(b: TorchBuilder, call: Call) -> Value:
    q, k, v = (b.value(call[name]) for name in ("query", "key", "value"))
    if not len(q.order) == len(k.order) == len(v.order) or len(q.order) < 3:
        raise UserError(f"layer '{b.where}': attention of {b.shape(q)}, {b.shape(k)} and {b.shape(v)}")
    masks = []
    if call.get("attn_mask") is not None:
        mask = b.value(call["attn_mask"])
        data = b.numbers(mask)
        masks.append(_added(b, mask) if data is None else b.constant(finite(data)))
    if call.get("is_causal"):
        masks.append(b.constant(causal(b.shape(q)[-2], b.shape(k)[-2])))
    scale = call.get("scale")
    return attend(b, q, k, v, masks, 1 / math.sqrt(b.shape(q)[-1]) if scale is None else float(scale)).y


def _added(b: TorchBuilder, mask: Value) -> Value:
    """What a mask that is computed adds to the scores."""
    if b.tensor(mask).dtype != "bool":
        return mask
    shown, hidden = (b.constant(np.array(v, np.float32)) for v in (0.0, MASKED))
    return choose(b, mask, shown, hidden)
