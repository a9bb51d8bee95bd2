"""How foreign normalizations become ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lilliput.errors import UserError
from lilliput.importers.registry import aten
from lilliput.ops.norm.batch_norm import BatchNorm

if TYPE_CHECKING:
    from lilliput.importers.torch import Call, TorchBuilder, Value


@aten("batch_norm", "_native_batch_norm_legit_no_training")
def batch_norm(b: TorchBuilder, call: Call) -> Value:
    if call.get("training"):
        raise UserError(f"layer '{b.where}': batch norm is in training mode; call model.eval()")
    if call["running_mean"] is None or call["running_var"] is None:
        raise UserError(
            f"layer '{b.where}': batch norm without running statistics would need those of each input; "
            "train it with track_running_stats=True"
        )
    mean, variance = (b.data(call[key]).astype(np.float64) for key in ("running_mean", "running_var"))
    weight, bias = (None if call[key] is None else b.data(call[key]) for key in ("weight", "bias"))
    scale = (1.0 if weight is None else weight) / np.sqrt(variance + float(call["eps"]))
    offset = (0.0 if bias is None else bias) - mean * scale
    x = b.value(call["input"])
    if x.order[-1] != 1:  # channels are torch's dimension 1
        x = b.reorder(x, (0, *range(2, len(x.order)), 1))
    constants = (b.constant(np.asarray(v, np.float32)) for v in (scale, offset))
    return b.add(BatchNorm(), [x, *constants])
