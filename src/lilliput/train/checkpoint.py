"""Checkpoints without pickle: tensors in safetensors, the rest as JSON in the header of the same file, so
that one rename makes both visible at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from lilliput.errors import UserError
from lilliput.files import write_bytes


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Named tensors and a JSON-able record."""

    tensors: dict[str, torch.Tensor]
    record: dict[str, object]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write beside, then rename: a crash, an interrupt or a full disk leaves the old file whole."""
    # Copies: safetensors wants each tensor dense, in order, and with memory of its own.
    tensors = {
        name: t.detach().clone(memory_format=torch.contiguous_format)
        for name, t in checkpoint.tensors.items()
    }
    write_bytes(path, save(tensors, {"record": json.dumps(checkpoint.record)}))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint; nothing in it is executed."""
    try:
        with safe_open(path, framework="pt") as file:
            record = json.loads((file.metadata() or {})["record"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: not a checkpoint of ours ({error}); remove it to start over") from error
    return Checkpoint(tensors, record)


def flatten_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The state of each parameter as `optimizer.<index>.<name>`; rates follow from the schedule."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{name}": torch.as_tensor(value)
        for index, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """The inverse of `flatten_optimizer`, into an optimizer of the same parameters."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, index, name = key.split(".", 2)
            state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
