"""ONNX's quantized models: an operator on dequantized values whose result is quantized again becomes its int8 form.

The scales are the file's. What has no int8 form, or operands that do not fit one, stays float32 between the two.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np

from lilliput.graph import Array, Node, Quant, Tensor
from lilliput.importers.builder import Builder, Value
from lilliput.op import Op, Site, usable
from lilliput.ops.requantize import Dequantize, Quantize
from lilliput.ops.requantize.stored import stored
from lilliput.ops.shape import Reshape


def int8_quant(q: Quant, dtype: str) -> Quant:
    """The quantization of the int8 integers that stand for the same as these of `dtype`: uint8 are 128 larger."""
    return replace(q, zero_point=q.zero_point - 128) if dtype == "uint8" else q


def dequantized(b: Builder, v: Value, quant: Quant) -> Value:
    """The real values of integers that are computed."""
    v = with_quant(b, v, quant)
    return b.add(Dequantize(), [_before_uint8(b, v) or v])


def _before_uint8(b: Builder, v: Value) -> Value | None:
    """The int8 integers that uint8 ones were made of, standing for the same."""
    t, node = b.tensor(v), producer(b, v.name)
    if t.dtype != "uint8" or t.quant is None or node is None or not isinstance(node.op, Quantize):
        return None
    source = b.tensors[node.inputs[0]]
    same = source.dtype == "int8" and int8_quant(t.quant, "uint8").same(source.quant)
    return Value(source.name, v.order) if same else None


def with_quant(b: Builder, v: Value, quant: Quant) -> Value:
    """Integers with their quantization: on their own tensor, or on a view where that has another or none."""
    t = b.tensor(v)
    if quant.same(t.quant):
        return v
    if t.quant is None and producer(b, v.name) is None:
        b.tensors[t.name] = replace(t, quant=quant)
        return v
    return _set(b, b.add(Reshape(t.shape), [v]), t.dtype, quant)


def _set(b: Builder, v: Value, dtype: str, quant: Quant) -> Value:
    b.tensors[v.name] = replace(b.tensor(v), dtype=dtype, quant=quant)
    return v


def quantized(b: Builder, v: Value, quant: Quant, dtype: str) -> Value:
    """Real values as integers of `dtype`, int8, uint8 or int16; computed in int8 all the way where that can be."""
    inner = "int16" if dtype == "int16" else "int8"
    q = int8_quant(quant, dtype)
    data = b.tensor(v).data
    if data is not None:
        op = Quantize("even")
        (integers,) = op.run(Site(op, (b.tensor(v),), (Tensor("", data.shape, inner, q),)), data)
        y = _set(b, b.constant(integers, v.order), inner, q)
    else:
        made = integer_form(b, v, q) if inner == "int8" else None
        y = made or _set(b, b.add(Quantize("even"), [v]), inner, q)
    return _as_uint8(b, y, quant) if dtype == "uint8" else y


def _as_uint8(b: Builder, v: Value, quant: Quant) -> Value:
    t = b.tensor(v)
    if t.data is not None:
        y = b.constant((t.data.astype(np.int16) + 128).astype(np.uint8), v.order)
    else:
        y = b.add(Quantize(), [v])
    return _set(b, y, "uint8", quant)


def producer(b: Builder, name: str) -> Node | None:
    """The node that writes a tensor; what is asked for was written not long ago."""
    return next((node for node in reversed(b.nodes) if name in node.outputs), None)


def integers(b: Builder, v: Value) -> Value | None:
    """The int8 integers that a real value was made of; None where it was not."""
    known = stored(b, v)
    if known is not None and known.data is not None and known.q.axis is None:
        if known.dtype not in ("int8", "uint8"):
            return None
        data = known.data.astype(np.int16) - (128 if known.dtype == "uint8" else 0)
        return _set(b, b.constant(data.astype(np.int8), v.order), "int8", int8_quant(known.q, known.dtype))
    node = producer(b, v.name)
    if node is None or not isinstance(node.op, Dequantize):
        return None
    source = b.tensors[node.inputs[0]]
    if source.dtype == "int8":
        return Value(source.name, v.order)
    if source.dtype != "uint8":
        return None
    made = b.add(Quantize(), [Value(source.name, v.order)])
    return _set(b, made, "int8", int8_quant(source.q, "uint8"))


def integer_form(b: Builder, v: Value, quant: Quant) -> Value | None:
    """int8 integers of v under `quant`, computed by the int8 form of the operator that makes v; None without one."""
    node = producer(b, v.name)
    if node is None or len(node.outputs) != 1:
        return None
    if node.op.view or node.op.as_permutation() is not None:
        return _behind(b, v, node, quant)
    site = _site(b, node)
    if node.op.as_clamp() is not None and integers(b, Value(site.x.name, v.order)) is None:
        before = producer(b, site.x.name)
        if before is None or not before.op.fuses_clamp or cast(Any, before.op).clamp is not None:
            return None
        fused = cast(Op, replace(cast(Any, before.op), clamp=node.op.as_clamp()))
        node = replace(before, op=fused, outputs=node.outputs)
        site = _site(b, node)
    y = site.y
    if node.op.out_quant == "like input":
        own = _operand_quant(b, site.x.name, v)
    else:
        own = node.op.out_quant if isinstance(node.op.out_quant, Quant) else quant
    names = None if own is None else _operands(b, site, own)
    if own is None or names is None:
        return None
    result = replace(y, name=_fresh(b, y.name), dtype="int8", quant=own)
    inner = Site(node.op, tuple(b.tensors[name] for name in names), (result,), node.name)
    if node.op.check(inner) is not None or not (node.op.view or usable(inner, frozenset())):
        return None
    b.tensors[result.name] = result
    b.nodes.append(Node(node.op, names, (result.name,), node.name))
    return _requantized(b, Value(result.name, v.order), quant)


def _requantized(b: Builder, v: Value, quant: Quant) -> Value:
    return v if quant.same(b.tensor(v).quant) else _set(b, b.add(Quantize(), [v]), "int8", quant)


def _site(b: Builder, node: Node) -> Site:
    ins, outs = (tuple(b.tensors[n] for n in names) for names in (node.inputs, node.outputs))
    return Site(node.op, ins, outs, node.name)


def _behind(b: Builder, v: Value, node: Node, quant: Quant) -> Value | None:
    """What only moves elements moves the integers."""
    t = b.tensors[node.inputs[0]]
    order = tuple(range(len(t.shape)))
    x = Value(t.name, order)
    inner = integers(b, x)
    if inner is None:
        inner = integer_form(b, x, quant)
    if inner is None:
        return None
    own = b.tensor(inner).q
    y = _set(b, b.add(node.op, [inner], v.order), "int8", own)
    return _requantized(b, y, quant)


def _operand_quant(b: Builder, name: str, v: Value) -> Quant | None:
    found = integers(b, Value(name, tuple(range(len(b.tensors[name].shape)))))
    return None if found is None else b.tensor(found).quant


def _operands(b: Builder, site: Site, result: Quant) -> tuple[str, ...] | None:
    """The names of the integer operands of an operator; None where one has none that fit."""
    names: list[str] = []
    for i, t in enumerate(site.ins):
        found: Tensor | None = t
        if t.dtype != "float32" or i in site.op.float_constants or i == site.op.bias:
            pass
        elif i in site.op.weights:
            found = _weights(b, t, site.op.weights[i])
        elif site.op.same_quant_inputs and t.data is not None:
            found = _constant(b, t.name, result, result.quantize(t.data, "int8"))
        else:
            found = _activation(b, t, result if site.op.same_quant_inputs else None)
        if found is None:
            return None
        names.append(found.name)
    bias = site.op.bias
    if bias is not None and site.ins[bias].data is not None:
        (weights,) = site.op.weights
        made = _bias(b, site.ins[bias], b.tensors[names[0]].q, b.tensors[names[weights]].q)
        names[bias] = made.name
    return tuple(names)


def _fresh(b: Builder, name: str) -> str:
    name = f"{name}@int8"
    while name in b.tensors:
        name += "_"
    return name


def _constant(b: Builder, name: str, quant: Quant, data: Array) -> Tensor:
    t = Tensor(_fresh(b, name), data.shape, str(data.dtype), quant, np.ascontiguousarray(data))
    b.tensors[t.name] = t
    return t


def _weights(b: Builder, t: Tensor, axis: int) -> Tensor | None:
    """Symmetric int8 weights with one scale per channel along `axis`."""
    known = stored(b, Value(t.name, ()))
    if known is None or known.data is None or known.dtype != "int8" or known.q.zero_point.any():
        return None
    channels = t.shape[axis]
    if known.q.axis not in (None, axis):
        return None
    quant = Quant(np.broadcast_to(known.q.scale, channels).copy(), np.zeros(channels, np.int32), axis)
    return _constant(b, t.name, quant, known.data)


def _bias(b: Builder, t: Tensor, x: Quant, w: Quant) -> Tensor:
    """int32 in steps of the product of both scales."""
    assert t.data is not None
    steps = np.float64(x.s) * w.scale.astype(np.float64)
    whole = np.clip(np.round(t.data.astype(np.float64) / steps), -(2**31) + 1, 2**31 - 1).astype(np.int32)
    quant = Quant((x.s * w.scale).astype(np.float32), np.zeros(len(w.scale), np.int32), 0)
    return _constant(b, t.name, quant, whole)


def _activation(b: Builder, t: Tensor, wanted: Quant | None) -> Tensor | None:
    order = tuple(range(len(t.shape)))
    found = integers(b, Value(t.name, order))
    if found is None and t.data is not None and t.data.size == 1 and t.data.any():
        size = abs(float(t.data.reshape(())))
        quant = Quant.per_tensor(size / 64, 0)
        return _constant(b, t.name, quant, np.full(t.shape, 64 if t.data.reshape(()) > 0 else -64, np.int8))
    if found is None:
        return None
    return b.tensor(found if wanted is None else _requantized(b, found, wanted))
