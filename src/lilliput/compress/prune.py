"""Channel pruning of torch modules: whole channels go, so every later step stores and computes less."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn

from lilliput.errors import UserError

Importance = Literal["magnitude", "bn-scale", "taylor"]
COUNTED = (nn.Conv1d, nn.Conv2d, nn.Linear)
SEQUENTIAL = (nn.RNNBase, nn.MultiheadAttention)


@dataclass(frozen=True)
class ModelSize:
    """What a module needs: numbers of weights (batch-norm folded) and of output channels, each with a bias;
    `live` is the largest input + output of one layer, in values (int8: bytes)."""

    weights: int
    channels: int
    macs: int
    live: int

    def to_json(self) -> dict[str, int]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Pruned:
    """The smaller module and its size before and after."""

    model: nn.Module
    before: ModelSize
    after: ModelSize


def model_size(model: nn.Module, example: torch.Tensor) -> ModelSize:
    """Count the convolutions, linear, recurrent and attention layers that run on `example` (1, C, H, W)."""
    found: list[tuple[int, int, int, int]] = []

    def count(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: Any) -> None:
        y = output[0] if isinstance(layer, SEQUENTIAL) else output
        live = inputs[0][0].numel() + y[0].numel()
        steps = y.shape[1] if getattr(layer, "batch_first", False) else len(y)
        scores = 0
        if isinstance(layer, nn.RNNBase):
            weights: list[torch.Tensor] = [
                p for name, p in layer.named_parameters() if name.startswith("weight")
            ]
            channels = sum(len(p) for p in weights) // 2  # each gate has input and recurrent weights
        elif isinstance(layer, nn.MultiheadAttention):
            weights = [layer.in_proj_weight, layer.out_proj.weight]
            channels = sum(len(p) for p in weights)
            scores = 2 * steps * steps * layer.embed_dim
        else:
            assert isinstance(layer, COUNTED)
            weights, channels = [layer.weight], len(layer.weight)
            steps = y.numel() // len(y) // channels
        size = sum(p.numel() for p in weights)
        found.append((size, channels, steps * size + scores, live))

    hooks = [
        m.register_forward_hook(count) for m in model.modules() if isinstance(m, (*COUNTED, *SEQUENTIAL))
    ]
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(example)
    finally:
        for hook in hooks:
            hook.remove()
        model.train(was_training)
    if not found:
        raise UserError("the model has no convolution or linear layer that runs; expected at least one")
    weights, channels, macs, live = zip(*found, strict=True)
    return ModelSize(sum(weights), sum(channels), sum(macs), max(live))


def prune_channels(
    model: nn.Module,
    example: torch.Tensor,
    fraction: float = 1 / 3,
    *,
    round_to: int = 4,
    importance: Importance = "magnitude",
    loss: Callable[[nn.Module], torch.Tensor] | None = None,
) -> Pruned:
    """A copy of `model` without the least important `fraction` of each layer's channels.

    Residual additions and depthwise convolutions keep their channels in step; the outputs of the last layer
    stay. Channel counts become multiples of `round_to` where the layer is wide enough. `importance`: the L2
    norm of the channel's weights, the batch-norm's scale, or "taylor", the change of `loss(model)` to first
    order. Fine-tune the result with `fit`.
    """
    try:
        import torch_pruning as tp
    except ModuleNotFoundError as error:
        raise UserError(
            f"pruning needs {error.name}; install it with: pip install 'lilliput[train]'"
        ) from error
    if not 0 < fraction < 1 or round_to < 1:
        raise UserError(
            f"prune: fraction {fraction}, round_to {round_to}; expected 0 < fraction < 1, round_to >= 1"
        )
    if found := next((m for m in model.modules() if isinstance(m, SEQUENTIAL)), None):
        raise UserError(
            f"prune: the model has a layer of kind {type(found).__name__}; channels are pruned of convolutions and "
            "linear layers only: leave [prune] out and choose a smaller model"
        )
    small = copy.deepcopy(model).eval()
    before = model_size(small, example)
    outputs = _output_shape(small, example)
    scores = {
        "magnitude": tp.importance.GroupMagnitudeImportance(p=2),
        "bn-scale": tp.importance.BNScaleImportance(),
        "taylor": tp.importance.GroupTaylorImportance(),
    }
    pruner = tp.pruner.MetaPruner(
        small,
        example,
        importance=scores[importance],
        pruning_ratio=fraction,
        round_to=round_to,
        ignored_layers=[_last_layer(small, example)],
    )
    if importance == "taylor":
        if loss is None:
            raise UserError("prune: importance 'taylor' needs a loss; give loss=, or use 'magnitude'")
        loss(small).backward()  # type: ignore[no-untyped-call]  # untyped in torch
    pruner.step()
    small.zero_grad()
    if _output_shape(small, example) != outputs:
        raise UserError(f"prune: the model's output changed from {outputs}; its last layer could not be kept")
    return Pruned(small, before, model_size(small, example))


def _output_shape(model: nn.Module, example: torch.Tensor) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(model(example).shape)


def _last_layer(model: nn.Module, example: torch.Tensor) -> nn.Module:
    """The convolution or linear layer that runs last: the classifier."""
    order: list[nn.Module] = []
    hooks = [
        m.register_forward_hook(lambda layer, _inputs, _output: order.append(layer))
        for m in model.modules()
        if isinstance(m, (nn.Conv2d, nn.Linear))
    ]
    with torch.no_grad():
        model(example)
    for hook in hooks:
        hook.remove()
    return order[-1]
