"""PyTorch's data movement: every operator through the importer, in numpy and in the generated C."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from batch import Case, host_models
from lilliput.evaluate import step_through
from lilliput.graph import Array
from lilliput.importers.torch import load_torch
from lilliput.passes import simplify
from lilliput.plan import plan

TABLE = torch.linspace(-1, 1, 33).reshape(11, 3)
ROW = torch.tensor([2, 0, 1, 1])
PLACES = torch.tensor([[[2, 0, 3, 1], [1, 1, 0, 0], [3, 3, 2, 2]]])

# Of x with dimensions (1, 3, 4, 5) unless the case says (1, 3, 4).
PLANES: dict[str, Callable[[Tensor], Tensor]] = {
    "index_select": lambda x: torch.index_select(x, 2, ROW) * 1,
    "index": lambda x: x[:, torch.tensor([2, 0, 1, 1])],
    "expand": lambda x: x[:, :1].expand(-1, 6, -1, -1) + 1,
    "repeat": lambda x: x.repeat(1, 2, 1, 3),
    "repeat more": lambda x: x[:, :, :, 0].repeat(2, 1, 2, 3),
    "tile": lambda x: torch.tile(x, (2, 2)),
    "repeat_interleave": lambda x: torch.repeat_interleave(x, 3, 2),
    "roll": lambda x: torch.roll(x, (1, -2), (1, 3)),
    "roll all": lambda x: torch.roll(x, 7),
    "reflect": lambda x: functional.pad(x, (2, 1, 0, 3), mode="reflect"),
    "replicate": lambda x: functional.pad(x, (1, 2, 3, 0), mode="replicate"),
    "circular": lambda x: functional.pad(x, (1, 2, 2, 1), mode="circular"),
    "bilinear": lambda x: functional.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear corners": lambda x: functional.interpolate(x, size=(7, 3), mode="bilinear", align_corners=True),
    "bilinear factor": lambda x: functional.interpolate(x, scale_factor=1.7, mode="bilinear"),
    "bilinear smooth": lambda x: functional.interpolate(x, size=(2, 3), mode="bilinear", antialias=True),
    "bicubic": lambda x: functional.interpolate(x, size=(7, 9), mode="bicubic"),
    "bicubic smooth": lambda x: functional.interpolate(x, size=(2, 2), mode="bicubic", antialias=True),
    "nearest": lambda x: functional.interpolate(x, scale_factor=2),
    "shuffle": lambda x: functional.pixel_shuffle(x.repeat(1, 4, 1, 1), 2),
    "unshuffle": lambda x: functional.pixel_unshuffle(x[..., :4], 2),
    "channel_shuffle": lambda x: functional.channel_shuffle(x.repeat(1, 2, 1, 1), 3),
    "triu": lambda x: torch.triu(x, 1),
    "cumsum": lambda x: torch.cumsum(x, 2),
    "cumprod": lambda x: torch.cumprod(x, 1),
    "topk": lambda x: torch.topk(x, 2, 1)[0],
    "topk smallest": lambda x: torch.topk(x, 3, 3, largest=False)[0],
    "arange": lambda x: x * torch.arange(5).float() + torch.full((4, 1), 2.5),
    "zeros": lambda x: torch.cat([torch.zeros(1, 2, 4, 5), x, torch.ones_like(x)], 1),
    "tensor_split": lambda x: torch.tensor_split(x, 3, 3)[1] + torch.tensor_split(x, (2, 4), 3)[1],
    "hstack": lambda x: torch.hstack([x, torch.fliplr(x)]),
    "sort": lambda x: torch.sort(x, 2, descending=True)[0],
}
ROWS: dict[str, Callable[[Tensor], Tensor]] = {
    "gather": lambda x: torch.gather(x, 2, PLACES),
    "scatter": lambda x: torch.scatter(
        x, 2, torch.tensor([[[2, 0]], [[1, 3]]]).reshape(1, 2, 2), x[:, :2, :2]
    ),
    "scatter value": lambda x: torch.scatter(x, 2, PLACES[:, :, :1], 5.0),
    "scatter_add": lambda x: torch.scatter_add(x, 2, PLACES, x),
    "embedding": lambda x: functional.embedding(torch.argmax(x, 2), TABLE),
    "linear": lambda x: functional.interpolate(x, size=9, mode="linear"),
    "pad": lambda x: functional.pad(x, (3, 2), mode="reflect"),
}


class Wrapped(torch.nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def test_equal_to_torch() -> None:
    rng = torch.Generator().manual_seed(5)
    cases: list[Case] = []
    runs: list[tuple[Array, Array]] = []
    for functions, shape in ((PLANES, (1, 3, 4, 5)), (ROWS, (1, 3, 4))):
        for label, function in functions.items():
            x = torch.randn(shape, generator=rng)
            graph = simplify(load_torch(Wrapped(function), x))
            y = function(x)
            cases.append(Case(label, plan(graph)))
            runs.append((_stored(x), _stored(y)))
    wrong = []
    for case, (x, y), model in zip(cases, runs, host_models(cases), strict=True):
        graph = case.plan.graph
        feed = {graph.inputs[0]: x}
        for found in (step_through(graph, feed), model.run(feed)):
            result = found[graph.outputs[0]]  # weights and sums are rounded in another order
            if result.shape != y.shape or not np.allclose(result, y, rtol=1e-5, atol=1e-5):
                wrong.append(case.label)
    assert wrong == []


def _stored(t: Tensor) -> Array:
    return (t.permute(0, 2, 3, 1) if t.dim() == 4 else t).detach().contiguous().numpy()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x[torch.tensor([0]), torch.tensor([1])], "only one is supported"),
        (lambda x: torch.scatter_reduce(x, 2, PLACES, x, "mean"), "mean"),
    ],
)
def test_refusals_say_why(function: Callable[[Tensor], Tensor], words: str) -> None:
    from lilliput.errors import UserError

    with pytest.raises(UserError, match=words):
        load_torch(Wrapped(function), torch.zeros(1, 3, 4))
