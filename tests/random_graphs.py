"""Random graphs out of the registry, and the count of what they covered."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache

import numpy as np

import lilliput.ops  # noqa: F401
from lilliput.evaluate import step_through
from lilliput.examples import draw, float_graph, ranges_of
from lilliput.graph import Array, Graph, Node, Shape, Tensor, verify
from lilliput.host import FEATURES
from lilliput.op import REGISTRY, Example, Kernel, Op, Site, usable
from lilliput.ops.requantize import Dequantize, Quantize
from lilliput.plan import Plan
from lilliput.quantize import quantize
from lilliput.quantize.ptq import Activations, Weights

LARGEST = 1500  # elements of any tensor: hundreds of graphs share one ELF


Form = tuple[Activations, Weights]
"""What a graph is quantized to."""
FORMS: tuple[Form, ...] = (
    ("int8", "int8"),
    ("int16", "int8"),
    ("int8", "int4"),
    ("int16", "int8"),
    ("int8", "int8"),
)


@cache
def examples_of(op: str) -> tuple[Graph, ...]:
    """The operator's examples that take any real numbers, in float32: what a random graph can hold of it."""
    plain = (e for e in REGISTRY[op].examples() if isinstance(e, Example))
    return tuple(
        float_graph(e)
        for e in plain
        if not e.limits and not any(isinstance(given, Tensor) for given in e.ins)
    )


@cache
def drawn(form: Form | None) -> dict[str, frozenset[str]]:
    """Operator that random graphs draw -> the kernels that its examples meet in a form; None: in float32.

    In integers only operators that stay in integers: behind a float one numpy and C may round to different integers.
    """
    found = {}
    for name, cls in REGISTRY.items():
        if cls.sample.__func__ is Op.sample.__func__:  # type: ignore[attr-defined]  # it never gives one
            continue
        graphs = [in_form(g, form, 0) for g in examples_of(name)]
        kernels = {k.name for g in graphs if g for site in g.sites() for k in usable(site, FEATURES)}
        if any(g is not None for g in graphs):
            found[name] = frozenset(kernels)
    return found


def in_form(graph: Graph, form: Form | None, seed: int, squeeze: float = 1.0) -> Graph | None:
    """The graph in integers alone; None where a part of it stays float."""
    if form is None:
        return graph
    activations, weights = form
    ranges = ranges_of(graph, seed, squeeze)
    made = quantize(graph, ranges=ranges, activations=activations, weights=weights)
    floats = any(t.dtype == "float32" for t in made.tensors.values() if not t.constant)
    return None if floats else made


def random_graph(
    seed: int, form: Form | None = None, first: str | None = None, among: frozenset[str] | None = None
) -> Graph:
    """A float graph of 1 to 14 random operators with branches; every tensor that nobody reads is an output.

    Operators are those that `form` has, or `among` them; `first` begins a smaller one.
    """
    rng = np.random.default_rng(seed)
    # Operators with several kernels come more often, so that each kernel has its share.
    kernels = {name: found for name, found in drawn(form).items() if among is None or name in among}
    ops = [name for name, found in sorted(kernels.items()) for _ in range(max(1, min(len(found), 4)))]
    grower = _Grower(rng, ops)
    shapes = (_shape(rng) for _ in range(40))
    grower.input(next((s for s in shapes if first is None or REGISTRY[first].sample(rng, s)), (1, 8)))
    wanted = int(rng.integers(1, 5 if first else 15))
    for _ in range(60):
        if len(grower.nodes) >= wanted:
            break
        grower.grow(first if first and not grower.nodes else None)
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
    ops: list[str]
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)

    def input(self, shape: Shape) -> str:
        name = f"x{len(self.inputs)}"
        self.tensors[name] = Tensor(name, shape)
        self.inputs.append(name)
        return name

    def grow(self, name: str | None = None) -> None:
        """Append an operator, a random one unless it is named, to a random float tensor, recent ones preferred."""
        names = [name for name, t in self.tensors.items() if not t.constant and t.dtype == "float32"]
        x = self.tensors[names[-1] if self.rng.random() < 0.5 else str(self.rng.choice(names))]
        cls = REGISTRY[name or str(self.rng.choice(self.ops))]
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
        dtypes = example.op.result_dtypes(ins)
        made = tuple(Tensor(n, s, t) for n, s, t in zip(outs, shapes, dtypes, strict=True))
        if example.op.check(Site(example.op, tuple(ins), made)):  # several samples at once, for most
            return
        self.tensors.update({t.name: t for t in made})
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


def random_model(seed: int, first: str | None = None) -> Graph | None:
    """A random graph in float32 (one in four), or in integers, one in eight between float ends; None without a node.

    Of these, two in five have int8 activations and weights, two int16 activations, one int4 weights. One in three
    saturates. `first` names the operator it begins with.
    """
    form = None if seed % 4 == 0 else FORMS[seed % 5]
    if form and first and first not in drawn(form):
        form = None
    graph = random_graph(seed, form, first)
    if not graph.nodes or form is None:
        return graph if graph.nodes else None
    squeeze = 0.5 if seed % 3 == 0 else 1.0
    made = in_form(graph, form, seed, squeeze)
    if made is None or seed % 8 != 1:
        return made or graph
    activations, weights = form
    ranges = ranges_of(graph, seed, squeeze)
    return quantize(graph, ranges=ranges, io="float32", activations=activations, weights=weights)


@cache
def in_random_graphs(op: str) -> frozenset[str]:
    """The kernels of an operator that random graphs can meet; the others serve other types, which files bring."""
    return frozenset().union(*(drawn(form).get(op, ()) for form in (None, *FORMS)))


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


BY_EXAMPLES = frozenset(
    {
        "argmax_float_int64",
        "argmax_int8_int64",
        "cumsum_s8",
        "gather_int64",
        "map_is_negative_infinity_float_uint8_conversions",
        "map_is_positive_infinity_float_uint8_conversions",
        "topk_float_int64_key_float",
        "topk_int16_int64_key_int16",
        "topk_int8_int64_key_int8",
    }
)
"""Kernels for attributes that only files give, which the operators' examples prove."""
INSIDE = frozenset({"nearest", "log_gaussian"})
"""Operators whose results do not reach the bounds of their type."""
AT_THE_ENDS = frozenset({"quantize_f32_int8", "dequantize_f32_int8"})
"""What stands between float ends and int8."""


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
    if cls in (Quantize, Dequantize):  # only at the ends of a graph
        return ["any", "odd"] if kernel.name in AT_THE_ENDS else []
    if kernel.name in BY_EXAMPLES or kernel.name not in in_random_graphs(cls.name):
        return []
    fields = cls.__dataclass_fields__
    found = ["any", *(f for f in ("stride", "padding") if f in fields), "odd", "branch"]
    integer = re.search("_(s8|int8)(_|$)", kernel.name)
    reaches = cls.result_dtype is Op.result_dtype and cls.name not in INSIDE
    return [*found, "saturated"] if integer and reaches else found


def reference(graph: Graph, feed: dict[str, Array]) -> dict[str, Array]:
    """Every activation of one run."""
    values = dict(feed)
    step_through(graph, feed, lambda name, value: values.__setitem__(name, value))
    return values


def feeds(graph: Graph, seed: int, count: int) -> list[dict[str, Array]]:
    """Inputs for a graph."""
    return draw(graph, seed, count)
