"""Sequential and Functional models: which layer is called when, with what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lilliput.errors import UserError
from lilliput.importers.builder import Value
from lilliput.importers.keras.builder import KerasBuilder, folder_names, kind_of, name_of
from lilliput.importers.keras.settings import Settings

Key = tuple[str, int]
"""A layer's name, and which of its calls."""
MAX_LAYERS = 10_000


def layers_of(spec: dict[str, Any], where: str) -> list[dict[str, Any]]:
    """The descriptions of a model's layers."""
    found = Settings(spec.get("config"), where).get("layers")
    if not isinstance(found, list) or not 0 < len(found) <= MAX_LAYERS:
        raise UserError(f"{where}: it has {str(found)[:40]} as layers, expected 1 to {MAX_LAYERS}")
    for layer in found:
        kind_of(layer)
    return found


def run_model(
    b: KerasBuilder, spec: dict[str, Any], path: str, inputs: Sequence[Value], names: tuple[str, ...]
) -> tuple[Value, ...]:
    """The outputs of a model within another, or of the outermost one, for which `names` is empty."""
    where = f"model '{'/'.join(names) or name_of(spec)}'"
    layers = layers_of(spec, where)
    folders = [f"{path}/layers/{folder}".lstrip("/") for folder in folder_names(layers)]
    if kind_of(spec) == "Sequential":
        return _sequential(b, layers, folders, inputs, names, where)
    return _functional(b, spec, layers, folders, inputs, names, where)


def _sequential(
    b: KerasBuilder,
    layers: list[dict[str, Any]],
    folders: list[str],
    inputs: Sequence[Value],
    names: tuple[str, ...],
    where: str,
) -> tuple[Value, ...]:
    results = tuple(inputs)
    if len(results) != 1:
        raise UserError(f"{where}: {len(results)} inputs, expected 1")
    for layer, folder in zip(layers, folders, strict=True):
        if kind_of(layer) != "InputLayer":
            results = b.call(layer, folder, list(results), {}, names)
    return results


def input_specs(spec: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """(name, shape, type) of the inputs of the outermost model."""
    where = f"model '{name_of(spec)}'"
    layers = layers_of(spec, where)
    if kind_of(spec) == "Sequential" and kind_of(layers[0]) != "InputLayer":
        settings = Settings(spec["config"], where)
        built = spec.get("build_config")
        shape = settings.get("build_input_shape") or (
            built.get("input_shape") if isinstance(built, dict) else None
        )
        return [("input", shape, "float32")]
    named = {name_of(layer): layer for layer in layers if kind_of(layer) == "InputLayer"}
    wanted = [name for name, _, _ in _places(spec, "input_layers", where)] or list(named)
    found = []
    for name in wanted if kind_of(spec) != "Sequential" else list(named)[:1]:
        if name not in named:
            raise UserError(f"{where}: its input '{name}' is not among its layers")
        settings = Settings(named[name].get("config"), f"input '{name}'")
        shape = settings.get("batch_shape") or settings.get("batch_input_shape")
        found.append((name, shape, settings.get("dtype", "float32")))
    return found


def _places(spec: dict[str, Any], key: str, where: str) -> list[tuple[str, int, int]]:
    """(layer, call, which result) of a model's inputs or outputs, in Keras's order."""
    found: list[tuple[str, int, int]] = []

    def visit(tree: Any, depth: int) -> None:
        if isinstance(tree, dict):
            tree = [tree[k] for k in sorted(tree)]
        if not isinstance(tree, list) or not depth:
            raise UserError(f"{where}: its {key} hold {str(tree)[:40]}, expected layers' names and numbers")
        if len(tree) == 3 and isinstance(tree[0], str):
            found.append(_history(tree, where))
        else:
            for item in tree:
                visit(item, depth - 1)

    visit(spec["config"].get(key, []), 8)
    return found


def _history(tree: Any, where: str) -> tuple[str, int, int]:
    if (
        not isinstance(tree, list)
        or len(tree) != 3
        or not isinstance(tree[0], str)
        or not all(isinstance(v, int) and 0 <= v < 1 << 20 for v in tree[1:])
    ):
        raise UserError(f"{where}: {str(tree)[:80]} does not say which result of which layer is meant")
    return tree[0], int(tree[1]), int(tree[2])


def _functional(
    b: KerasBuilder,
    spec: dict[str, Any],
    layers: list[dict[str, Any]],
    folders: list[str],
    inputs: Sequence[Value],
    names: tuple[str, ...],
    where: str,
) -> tuple[Value, ...]:
    known = {name_of(layer): (layer, folder) for layer, folder in zip(layers, folders, strict=True)}
    if len(known) != len(layers):
        raise UserError(f"{where}: two layers have one name")
    given = [name for name, _, _ in _places(spec, "input_layers", where)]
    wanted = [
        # Here, and only here, Keras counts a call from when a Functional model was made.
        (name, call - (name in known and kind_of(known[name][0]) == "Functional"), i)
        for name, call, i in _places(spec, "output_layers", where)
    ]
    if len(given) != len(inputs) or not wanted:
        raise UserError(
            f"{where}: {len(inputs)} inputs and {len(wanted)} outputs, expected {len(given)} and some"
        )
    results: dict[Key, tuple[Value, ...]] = {
        (name, 0): (value,) for name, value in zip(given, inputs, strict=True)
    }
    for key, node in _ordered(known, wanted, set(results), where):
        layer, folder = known[key[0]]
        args = _filled(node.get("args", []), results, where)
        options = _filled(node.get("kwargs") or {}, results, where)
        if not isinstance(args, list) or not isinstance(options, dict):
            raise UserError(f"{where}: layer '{key[0]}' is called with {str(node)[:80]}")
        results[key] = b.call(layer, folder, args, options, names)
    return tuple(_result(results, place, where) for place in wanted)


def _result(results: dict[Key, tuple[Value, ...]], place: tuple[str, int, int], where: str) -> Value:
    name, call, i = place
    found = results.get((name, call), ())
    if i >= len(found):
        raise UserError(f"{where}: result {i} of call {call} of '{name}' is read, it has {len(found)}")
    return found[i]


def _ordered(
    known: dict[str, tuple[dict[str, Any], str]],
    wanted: list[tuple[str, int, int]],
    given: set[Key],
    where: str,
) -> list[tuple[Key, dict[str, Any]]]:
    """The calls that the outputs need, each after those it reads."""
    order: list[tuple[Key, dict[str, Any]]] = []
    done: set[Key] = set(given)
    open_: set[Key] = set()
    stack: list[tuple[Key, bool]] = [((name, call), False) for name, call, _ in reversed(wanted)]
    while stack:
        key, ready = stack.pop()
        if key in done:
            continue
        node = _node(known, key, where)
        if ready:
            open_.discard(key)
            done.add(key)
            order.append((key, node))
            continue
        if key in open_:
            raise UserError(f"{where}: layer '{key[0]}' reads its own result: a cycle")
        open_.add(key)
        stack.append((key, True))
        sources: list[Key] = []
        _sources([node.get("args", []), node.get("kwargs") or {}], sources, where)
        for source in reversed(sources):
            if source in open_:
                raise UserError(f"{where}: layer '{source[0]}' reads its own result: a cycle")
            if source not in done:
                stack.append((source, False))
    return order


def _node(known: dict[str, tuple[dict[str, Any], str]], key: Key, where: str) -> dict[str, Any]:
    name, call = key
    if name not in known:
        raise UserError(f"{where}: the layer '{name}' is read and not there")
    nodes = known[name][0].get("inbound_nodes") or []
    if not isinstance(nodes, list) or call >= len(nodes) or not isinstance(nodes[call], dict):
        raise UserError(f"{where}: call {call} of layer '{name}' is read and not described as Keras 3 does")
    found: dict[str, Any] = nodes[call]
    return found


def _is_tensor(tree: Any) -> bool:
    return isinstance(tree, dict) and tree.get("class_name") == "__keras_tensor__"


def _sources(tree: Any, found: list[Key], where: str, depth: int = 8) -> None:
    """Adds the calls whose results are among the arguments."""
    if _is_tensor(tree):
        config = tree.get("config")
        name, call, _ = _history(config.get("keras_history") if isinstance(config, dict) else None, where)
        found.append((name, call))
    elif depth and isinstance(tree, dict | list):
        for item in tree.values() if isinstance(tree, dict) else tree:
            _sources(item, found, where, depth - 1)


def _filled(tree: Any, results: dict[Key, tuple[Value, ...]], where: str, depth: int = 8) -> Any:
    """The arguments with values for tensors; Keras writes tuples as {"class_name": "__tuple__", "items": [...]}."""
    if _is_tensor(tree):
        return _result(results, _history(tree["config"]["keras_history"], where), where)
    if depth and isinstance(tree, list):
        return [_filled(item, results, where, depth - 1) for item in tree]
    if depth and isinstance(tree, dict):
        if tree.get("class_name") == "__tuple__":
            return _filled(tree.get("items", []), results, where, depth - 1)
        return {key: _filled(item, results, where, depth - 1) for key, item in tree.items()}
    return tree
