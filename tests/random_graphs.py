"""Random graphs out of the registry, and the count of what they covered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

import lilliput.ops  # noqa: F401
from lilliput.evaluate import step_through
from lilliput.examples import draw, ranges_of
from lilliput.graph import Array, Graph, Node, Shape, Tensor, verify
from lilliput.op import REGISTRY, Example, Kernel, Op, Site
from lilliput.plan import Plan
from lilliput.quantize import quantize

LARGEST = 1500  # elements of any tensor: hundreds of graphs share one ELF


def random_graph(seed: int) -> Graph:
    """A float graph of 1 to 14 random operators with branches; every tensor that nobody reads is an output."""
    rng = np.random.default_rng(seed)
    grower = _Grower(rng)
    grower.input(_shape(rng))
    wanted = int(rng.integers(1, 15))
    for _ in range(60):
        if len(grower.nodes) >= wanted:
            break
        grower.grow()
    return grower.graph()


def _shape(rng: np.random.Generator) -> Shape:
    rank = int(rng.choice([2, 3, 4, 4, 4, 4]))
    if rank == 2:
        return (1, int(rng.integers(1, 40)))
    if rank == 3:
        return (1, *(int(v) for v in rng.integers(1, 12, 2)))
    return (1, *(int(v) for v in rng.integers(1, 10, 2)), int(rng.choice([1, 2, 3, 4, 5, 6, 8, 9, 16])))


@dataclass
class _Grower:
    rng: np.random.Generator
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def input(self, shape: Shape) -> str:
        name = f"x{len(self.inputs)}"
        self.tensors[name] = Tensor(name, shape)
        self.inputs.append(name)
        return name

    def grow(self) -> None:
        """Append one random operator to a random float tensor, recent ones preferred."""
        names = [name for name, t in self.tensors.items() if not t.constant and t.dtype == "float32"]
        x = self.tensors[names[-1] if self.rng.random() < 0.5 else str(self.rng.choice(names))]
        # Operators with many kernels come more often, so that each kernel has its share.
        ops = sorted(name for name, cls in REGISTRY.items() for _ in cls.kernels or (cls,))
        cls = REGISTRY[str(self.rng.choice(ops))]
        example = cls.sample(self.rng, x.shape)
        if example is not None:
            self.append(x.name, example)

    def append(self, x: str, example: Example) -> None:
        names = [x]
        for given in example.ins[1:]:
            names.append(self.constant(given) if isinstance(given, np.ndarray) else self.like(given))
        ins = [self.tensors[name] for name in names]
        shapes = example.op.infer(ins)
        if any(np.prod(shape) > LARGEST or 0 in shape for shape in shapes):
            return
        outs = tuple(f"y{len(self.tensors)}_{i}" for i in range(len(shapes)))
        for name, shape in zip(outs, shapes, strict=True):
            self.tensors[name] = Tensor(name, shape, example.op.result_dtype(ins))
        self.nodes.append(Node(example.op, tuple(names), outs, f"{example.op.name}_{len(self.nodes)}"))

    def constant(self, data: Array) -> str:
        name = f"c{len(self.tensors)}"
        self.tensors[name] = Tensor(name, data.shape, str(data.dtype), data=data)
        return name

    def like(self, shape: Shape) -> str:
        """A tensor of this shape: one that is there, or a new input."""
        fitting = [
            n for n, t in self.tensors.items() if t.shape == shape and not t.constant and t.dtype == "float32"
        ]
        return str(self.rng.choice(fitting)) if fitting else self.input(shape)

    def graph(self) -> Graph:
        read = {name for node in self.nodes for name in node.inputs}
        outputs = [name for node in self.nodes for name in node.outputs if name not in read]
        return verify(Graph(tuple(self.inputs), tuple(outputs), tuple(self.nodes), self.tensors))


def random_model(seed: int) -> Graph | None:
    """A random graph in float32 (one in four), int8 between float ends (one in eight) or int8; None without a node.

    One in three saturates.
    """
    graph = random_graph(seed)
    if not graph.nodes:
        return None
    if seed % 4 == 0:
        return graph
    ranges = ranges_of(graph, seed, 0.5 if seed % 3 == 0 else 1.0)
    return quantize(graph, ranges=ranges, io="float32" if seed % 8 == 1 else "int8")


@dataclass
class Coverage:
    """How often each (operator, kernel, feature) was computed with a result worth comparing."""

    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, plan: Plan, values: dict[str, Array]) -> None:
        """Count the layers of a plan whose results are neither mostly constant nor mostly saturated."""
        readers = Counter(name for site in plan.graph.sites() for name in {t.name for t in site.ins})
        for step in plan.steps:
            value = values[step.site.y.name]
            if not _telling(step.site, value):
                continue
            for feature in ("any", *_features(step.site, value, readers)):
                self.counts[step.site.op.name, step.kernel.name, feature] += 1


def _telling(site: Site, value: Array) -> bool:
    if value.size == 1:
        return True
    _, counts = np.unique(value, return_counts=True)
    return bool(counts.max() * 2 <= value.size) or value.size <= 4


def _features(site: Site, value: Array, readers: Counter[str]) -> list[str]:
    found = []
    if any(s > 1 for s in getattr(site.op, "stride", ())):
        found.append("stride")
    if any(p for pair in getattr(site.op, "padding", ()) for p in pair):
        found.append("padding")
    if any(d % 2 for d in site.x.shape[1:]):
        found.append("odd")
    if value.dtype == np.int8 and (value.min() == -128 or value.max() == 127):
        found.append("saturated")
    if any(readers[t.name] > 1 for t in site.ins if not t.constant):
        found.append("branch")
    return found


def features_of(cls: type[Op], kernel: Kernel) -> list[str]:
    """The features that a kernel of an operator can show at all."""
    if cls.sample.__func__ is Op.sample.__func__:  # type: ignore[attr-defined]  # only at the ends of a graph
        return ["any", "odd"]
    fields = cls.__dataclass_fields__
    found = ["any", *(f for f in ("stride", "padding") if f in fields), "odd", "branch"]
    integer = kernel.name.endswith("_s8") or "_s8_" in kernel.name
    return [*found, "saturated"] if integer and cls.result_dtype is Op.result_dtype else found


def reference(graph: Graph, feed: dict[str, Array]) -> dict[str, Array]:
    """Every activation of one run."""
    values = dict(feed)
    step_through(graph, feed, lambda name, value: values.__setitem__(name, value))
    return values


def feeds(graph: Graph, seed: int, count: int) -> list[dict[str, Array]]:
    """Inputs for a graph."""
    return draw(graph, seed, count)
