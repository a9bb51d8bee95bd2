"""Layout: torch's reshapes and permutations come out right, and no transpose is left where none is needed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from batch import Case, host_differences, host_models
from lilliput.errors import UserError
from lilliput.evaluate import batchable, run, step_through
from lilliput.examples import draw, ranges_of
from lilliput.graph import Graph, Node, Quant, Tensor, verify
from lilliput.importers.torch import load_torch
from lilliput.op import Op, Site
from lilliput.ops.conv import Linear
from lilliput.ops.shape import Concat, Pad, Reshape, ResizeNearest, Slice, Transpose
from lilliput.passes.layout import cancel_transposes
from lilliput.plan import plan
from lilliput.quantize import quantize

TensorFunction = Callable[[torch.Tensor], torch.Tensor]
MOVERS = (Transpose, Slice, Pad, Concat, ResizeNearest)


def chain(shape: tuple[int, ...], *ops: Op) -> Graph:
    """Operators of one input, one after the other; for Linear random weights are made."""
    rng = np.random.default_rng(0)
    tensors, nodes, last = {"x": Tensor("x", shape)}, [], "x"
    for i, op in enumerate(ops):
        ins = [last]
        if op.feature_weights is not None:
            features = tensors[last].shape[-1]
            for name, size in ((f"w{i}", (3, features)), (f"b{i}", (3,))):
                data = rng.normal(0, 1, size).astype(np.float32)
                tensors[name] = Tensor(name, size, data=data)
                ins.append(name)
        (made,) = op.infer([tensors[n] for n in ins])
        last = f"y{i}"
        tensors[last] = Tensor(last, made)
        nodes.append(Node(op, tuple(ins), (last,), f"n{i}"))
    return verify(Graph(("x",), (last,), tuple(nodes), tensors))


def names(graph: Graph) -> list[str]:
    return [node.op.name for node in graph.nodes]


def kept(before: Graph) -> Graph:
    """The graph after the pass, which must compute the same but for the order of sums."""
    after = verify(cancel_transposes(before))
    for feed in draw(before, 3, 2):
        old, new = step_through(before, feed), step_through(after, feed)
        for a, b in zip(old.values(), new.values(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    return after


IDENTITY = Reshape((1, 2, 3, 4))
ROUND = (Transpose((0, 3, 1, 2)), Transpose((0, 2, 3, 1)))


def test_opposite_transposes_vanish() -> None:
    assert names(kept(chain((1, 2, 3, 4), *ROUND, Slice((0, 0, 0, 1), (1, 2, 3, 2), (1, 1, 1, 1))))) == [
        "slice"
    ]


def test_transposes_merge_into_one() -> None:
    after = kept(
        chain((1, 2, 3, 4), Transpose((0, 3, 1, 2)), Transpose((0, 3, 2, 1)), Transpose((0, 1, 3, 2)))
    )
    assert names(after) == ["transpose"]


def test_reshapes_merge_and_no_op_disappears() -> None:
    assert names(kept(chain((1, 2, 3, 4), Reshape((1, 24)), Reshape((1, 6, 4))))) == ["reshape"]
    assert names(kept(chain((1, 2, 3, 4), IDENTITY, Transpose((0, 2, 1, 3))))) == ["transpose"]


def test_transpose_of_axes_of_size_one_is_a_reshape() -> None:
    assert names(kept(chain((1, 1, 1, 6), Transpose((0, 3, 1, 2)), Reshape((1, 6))))) == ["reshape"]
    assert names(kept(chain((1, 5, 1, 6), Transpose((0, 2, 1, 3))))) == ["reshape"]


def test_transpose_that_is_read_twice_stays_for_the_other_reader() -> None:
    graph = chain((1, 2, 3, 4), *ROUND)
    both = replace(graph, outputs=("y0", "y1"))
    assert names(kept(both))[0] == "transpose"


def test_flattening_goes_into_the_weights() -> None:
    graph = chain((1, 3, 4, 5), Transpose((0, 3, 1, 2)), Reshape((1, 60)), Linear())
    after = kept(graph)
    assert names(after) == ["reshape", "linear"]
    rows = chain((1, 2, 3, 4, 5), Transpose((0, 1, 4, 2, 3)), Reshape((1, 2, 60)), Linear())
    assert "transpose" not in names(kept(rows))


def test_flattening_that_mixes_rows_stays() -> None:
    graph = chain((1, 2, 3, 4), Transpose((0, 2, 1, 3)), Reshape((1, 3, 8)), Linear())
    assert names(kept(graph)) == ["transpose", "reshape", "linear"]


def test_flattening_with_another_reader_stays() -> None:
    graph = chain((1, 3, 4, 5), Transpose((0, 3, 1, 2)), Reshape((1, 60)), Linear())
    assert "transpose" in names(kept(replace(graph, outputs=("y2", "y1"))))


def test_integer_weights_are_permuted_too() -> None:
    graph = chain((1, 3, 4, 5), Transpose((0, 3, 1, 2)), Reshape((1, 60)), Linear())
    integers = quantize(graph, ranges=ranges_of(graph, 1))
    after = verify(cancel_transposes(integers))
    assert names(after) == ["reshape", "linear"]
    (feed,) = draw(integers, 5)
    assert np.array_equal(*(next(iter(step_through(g, feed).values())) for g in (integers, after)))


MORE = torch.linspace(-1, 1, 96).reshape(1, 2, 6, 8)


class Wrap(nn.Module):
    """A function as a module, perhaps behind a convolution whose result is stored channels-last."""

    def __init__(self, function: TensorFunction, channels: int = 0) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv2d(channels, 6, 3, padding=1) if channels else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self.conv(x))


def check(module: nn.Module, shape: tuple[int, ...]) -> Graph:
    """Import, run in numpy, compare with torch; then the same after the pass. Returns the graph after it."""
    torch.manual_seed(0)
    x = torch.randn(1, *shape)
    graph = load_torch(module, x)
    after = verify(cancel_transposes(graph))
    expected = module(x).detach().numpy()
    given = x.numpy().transpose(0, 2, 3, 1) if x.ndim == 4 else x.numpy()
    for g in (graph, after):
        (found,) = step_through(g, {g.inputs[0]: given}).values()
        if expected.ndim == 4:
            found = found.transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    return after


@pytest.mark.parametrize(
    ("function", "moving"),
    [
        (lambda x: x.flatten(2), 1),
        (lambda x: x.flatten(2).transpose(1, 2), 0),
        (lambda x: x.permute(0, 2, 3, 1).flatten(1, 2), 0),
        (lambda x: x.view(1, 2, 3, 6, 8).transpose(1, 2).reshape(1, 6, 6, 8), 1),
        (lambda x: x.mean((2, 3), keepdim=True).squeeze(-1).squeeze(-1), 0),
        (lambda x: x.mean((2, 3), keepdim=True).flatten(1)[:, :, None, None], 0),
        (lambda x: x[:, 1:5:2, :, 3:], 2),
        (lambda x: x[:, :, 2], 2),
        (lambda x: x.select(1, -1), 1),
        (lambda x: x.narrow(3, 2, 4), 1),
        (lambda x: x.flip(2, 3), 2),
        (lambda x: torch.cat([x, x.flip(1)], 1), 2),
        (lambda x: torch.cat([x, MORE], 1), 1),
        (lambda x: torch.cat(x.chunk(4, 1)[::-1], 1), 4),
        (lambda x: torch.cat(x.split([1, 3, 2], 1)[::-1], 1), 4),
        (lambda x: torch.cat(x.split(4, 2)[::-1], 2), 3),
        (lambda x: torch.stack(x.unbind(1)[:2], 1), 4),
        (lambda x: torch.stack([x, x[:, :]], 2).flatten(1, 2), 2),
        (lambda x: F.pad(x, (1, 2, 0, 3)), 1),
        (lambda x: F.pad(x, (0, 0, 1, -2, 2, 0), value=-1.5), 2),
        (lambda x: F.interpolate(x, scale_factor=2.0), 1),
        (lambda x: F.interpolate(x, scale_factor=(49.0, 1.7)), 1),
        (lambda x: F.interpolate(x, size=(5, 11)), 1),
        (lambda x: F.interpolate(x, size=(7, 3), mode="nearest-exact"), 1),
        (lambda x: x.movedim(1, 3).contiguous().movedim(3, 1).clone(), 0),
        (lambda x: x.unsqueeze(2).expand(1, 6, 1, 6, 8).squeeze(2).to(torch.float32), 0),
        (lambda x: x.unflatten(1, (2, 3))[:, 1], 1),
        (lambda x: x.swapaxes(2, 3), 1),
        (lambda x: x.permute(0, 3, 1, 2).relu().permute(0, 2, 3, 1), 0),
    ],
)
def test_torch_forms_behind_a_convolution(function: TensorFunction, moving: int) -> None:
    graph = check(Wrap(function, 3), (3, 6, 8))
    moved = [site.op.name for site in graph.sites() if isinstance(site.op, MOVERS)]
    assert len(moved) <= moving, f"{moved}: {moving} are enough"


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda x: x.t().t().flip(1), (9,)),
        (lambda x: x.reshape(1, 3, -1).mT.flatten(1), (12,)),
        (lambda x: x.unsqueeze(1).unsqueeze(-1).transpose(1, 2).squeeze(), (7,)),
        (lambda x: x.transpose(1, 2)[:, 1:, ::2], (5, 4)),
        (lambda x: x.unsqueeze(1), (5, 4)),
        (lambda x: x.permute(2, 0, 1), (5, 4)),
        (lambda x: F.pad(x, (1, 0), value=2.0), (5, 4)),
        (lambda x: x.view(1, 2, 2, 3, 5).permute(0, 4, 3, 1, 2).reshape(1, 15, 4), (4, 3, 5)),
        (lambda x: x.flatten(1), (2, 3, 4)),
        (lambda x: x.unflatten(2, (2, -1)).select(3, 0), (5, 4)),
    ],
)
def test_torch_forms_of_other_ranks(function: TensorFunction, shape: tuple[int, ...]) -> None:
    check(Wrap(function), shape)


def test_small_networks_keep_no_transpose() -> None:
    """Flatten behind a plane, linear layers over the channels of every pixel, activations in between."""

    def tail(*layers: nn.Module) -> Graph:
        return check(nn.Sequential(nn.Conv2d(3, 6, 3), nn.MaxPool2d(2), *layers), (3, 8, 10))

    assert "transpose" not in names(tail(nn.Flatten(), nn.Linear(72, 5)))
    assert "transpose" not in names(tail(nn.Flatten(), nn.ReLU(), nn.Linear(72, 5)))
    assert "transpose" not in names(tail(Wrap(lambda x: x.flatten(2).transpose(1, 2)), nn.Linear(6, 5)))
    assert "transpose" not in names(
        tail(Wrap(lambda x: x.movedim(1, 3)), nn.Linear(6, 5), Wrap(lambda x: x.movedim(3, 1)))
    )


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda x: x.to(torch.complex64), "complex64"),
        (lambda x: x[:, :, 3:3], "empty"),
    ],
)
def test_refuses_what_it_cannot_do(function: TensorFunction, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load_torch(Wrap(function), torch.randn(1, 1, 6))


@pytest.mark.parametrize(
    ("op", "ins", "words"),
    [
        (Reshape((1, 7)), [(1, 2, 3)], "6 elements"),
        (Transpose((0, 0)), [(1, 2)], "permutation"),
        (Transpose((6, 5, 4, 3, 2, 1, 0)), [(2,) * 7], "at most 6"),
        (Slice((0, 3), (1, 2), (1, 1)), [(1, 4)], "elements 3 to 4"),
        (Slice((0,), (1,), (1,)), [(1, 4)], "do not fit"),
        (Slice((0, 0), (1, 0), (1, 1)), [(1, 4)], "empty"),
        (Pad(((0, 0), (-1, 0))), [(1, 4)], "pairs? of counts"),
        (Pad(((0, 0), (1, 0)), float("inf")), [(1, 4)], "finite"),
        (Concat(1), [(1, 4, 2), (1, 4, 3)], "cannot join"),
        (ResizeNearest((0, 4), (0,)), [(1, 4, 4, 1)], "indices"),
        (ResizeNearest((), (0,)), [(1, 4, 4, 1)], "indices"),
    ],
)
def test_operators_state_what_is_wrong(op: Op, ins: list[tuple[int, ...]], words: str) -> None:
    tensors = tuple(Tensor(f"x{i}", shape) for i, shape in enumerate(ins))
    reason = op.check(Site(op, tensors, (Tensor("y", op.infer(tensors)[0]),)))
    assert reason is not None
    assert re.search(words, reason)


def test_integer_padding_is_the_zero_point_or_the_value() -> None:
    quant, x = Quant.per_tensor(0.1, -5), Tensor("x", (1, 1), "int8")
    for dtype, q, value, expected in (
        ("int8", quant, 0.0, -5),
        ("int8", quant, 0.3, -2),
        ("int8", quant, 99.0, 127),
        ("int16", None, 7.0, 7),
        ("int32", None, -123456789.0, -123456789),
        ("float32", None, 0.25, 0.25),
    ):
        op = Pad(((0, 0), (1, 0)), value)
        site = Site(op, (replace(x, dtype=dtype, quant=q),), (Tensor("y", (1, 2), dtype, q),))
        assert op.fill(site) == expected


@pytest.mark.parametrize("dtype", ["int16", "int32", "uint8", "float32"])
def test_every_type_moves_in_c(dtype: str) -> None:
    """Types that no example has: the kernels copy bytes whatever they mean."""
    ops: list[tuple[Op, int]] = [
        (Transpose((0, 2, 3, 1)), 1),
        (Slice((0, 1, 3, 0), (1, 1, 2, 3), (1, 1, -2, 1)), 1),
        (Pad(((0, 0), (1, 0), (0, 2), (1, 1)), 3.0), 1),
        (Concat(2), 2),
        (ResizeNearest((0, 0, 1), (3, 1, 0)), 1),
    ]
    cases = []
    for op, count in ops:
        ins = tuple(Tensor(f"x{i}", (1, 2, 4, 3), dtype) for i in range(count))
        y = Tensor("y", op.infer(ins)[0], dtype)
        node = Node(op, tuple(t.name for t in ins), ("y",), op.name)
        graph = Graph(node.inputs, ("y",), (node,), {t.name: t for t in (*ins, y)})
        cases.append(Case(f"{op.name} {dtype}", plan(verify(graph))))
    assert host_differences(cases, host_models(cases, sanitize="undefined"), seed=3, count=2) == []


def test_one_sample_or_many() -> None:
    """What mixes samples says so; the others take a batch along the first axis."""
    x = np.arange(48, dtype=np.float32).reshape(2, 2, 3, 4)
    for op in (Reshape((1, 24)), Transpose((0, 3, 1, 2)), Slice((0, 1, 0, 0), (1, 1, 3, 4), (1, 1, 1, 1))):
        graph = chain((1, 2, 3, 4), op)
        assert batchable(graph)
        assert np.array_equal(run(graph, x), np.concatenate([run(graph, x[:1]), run(graph, x[1:])]))
    for op in (Reshape((24,)), Transpose((1, 0, 2, 3)), Pad(((1, 0), (0, 0), (0, 0), (0, 0)))):
        assert not batchable(chain((1, 2, 3, 4), op))
