"""From sequence to stream: what recurrent layers start from and end with becomes state that is kept between runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from lilliput.errors import UserError
from lilliput.evaluate import reset
from lilliput.graph import Graph, Node, Tensor, verify
from lilliput.op import Op
from lilliput.ops.requantize import Quantize
from lilliput.passes.fold import remove_dead


def stateful(graph: Graph) -> Graph:
    """The same model for one piece of a sequence at a time: `Graph.states` carry every recurrent layer's states on.

    A layer's states must start from zero or from an input of the model. Such inputs disappear, and so do the outputs
    that are nothing but final states. Quantize and train first: both look at whole sequences.
    """
    tensors, nodes, states = dict(graph.tensors), [], list(graph.states)
    carried = {before for before, _ in states}
    for node in graph.nodes:
        inputs = list(node.inputs)
        for i, o in node.op.states.items():
            if node.inputs[i] in carried:
                continue
            _refuse(graph, node, tensors[node.inputs[i]])
            after = tensors[node.outputs[o]]
            inputs[i] = f"{after.name}.before"
            tensors[inputs[i]] = replace(after, name=inputs[i])
            states.append((inputs[i], after.name))
        nodes.append(replace(node, inputs=tuple(inputs)))
    if len(states) == len(graph.states):
        raise UserError("the model has no layer with states (GRU, LSTM, RNN) that are not kept already")
    read_before = {name for node in graph.nodes for name in node.inputs}
    ends = {after for _, after in states}
    done = replace(graph, states=tuple(states)).with_nodes(nodes, tensors)
    done = remove_dead(done)
    read = {name for node in done.nodes for name in node.inputs}
    inputs_left = tuple(name for name in graph.inputs if name in read or name not in read_before)
    outputs_left = graph.outputs
    if inputs_left != graph.inputs:
        outputs_left = tuple(name for name in graph.outputs if not _moved(graph, name, ends))
    if not inputs_left or not outputs_left:
        raise UserError("a model of nothing but states has no input or no output left")
    done = replace(done, inputs=inputs_left, outputs=outputs_left)
    return verify(remove_dead(done.with_nodes(done.nodes)))


def _refuse(graph: Graph, node: Node, start: Tensor) -> None:
    """Complain about a layer whose states cannot be carried on."""
    if getattr(node.op, "reverse", False):
        raise UserError(
            f"layer '{node.name}' reads its sequence from the end; nothing of it can be carried on. Use a model whose "
            "recurrent layers run forward"
        )
    if start.data is not None and not np.array_equal(start.data, reset(start)):
        raise UserError(
            f"layer '{node.name}' starts from a constant state other than zero, but a reset gives zero; make that "
            "state an input of the model, or train it with zero"
        )
    if start.data is None and not _moved(graph, start.name, set(graph.inputs)):
        raise UserError(
            f"layer '{node.name}' starts from a state that is computed ('{start.name}'); only zero and inputs of the "
            "model can be replaced by what the run before has left"
        )


def _moved(graph: Graph, name: str, sources: set[str]) -> bool:
    """Whether a tensor is nothing but some of `sources`, moved or requantized."""
    producer = graph.producer()
    if name in sources:
        return True
    node = producer.get(name)
    return node is not None and _moves(node.op) and all(_moved(graph, i, sources) for i in node.inputs)


def _moves(op: Op) -> bool:
    return op.view or op.out_quant == "like input" or op.same_quant_inputs or isinstance(op, Quantize)
