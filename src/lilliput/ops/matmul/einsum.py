"""Einstein's summation as transposes, one matrix product per operand and a sum: ONNX's and torch's einsum."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lilliput.errors import UserError
from lilliput.importers.builder import Builder, Value
from lilliput.ops.matmul.product import multiplied
from lilliput.ops.shape import Slice
from lilliput.ops.shape.importing import permuted, view_as

Sum = Callable[[Value, list[int]], Value]
"""Sums dimensions away."""


def parse(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """The letters of every operand and of the result, an ellipsis replaced by letters of its own."""
    if not equation.isascii():
        raise UserError(f"equation {equation!r} has characters that are no letters")
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise UserError(f"equation '{equation}' has {len(terms)} operands, {len(ranks)} are given")
    names = [chr(ord("\u0391") + i) for i in range(32)]  # Greek, which no equation has
    hidden = set(names)
    full, most = [], 0
    for term, rank in zip(terms, ranks, strict=True):
        free = rank - len(term.replace("...", ""))
        if free < 0 or ("..." not in term and free):
            raise UserError(f"equation '{equation}': '{term}' does not fit an operand of {rank} dimensions")
        most = max(most, free if "..." in term else 0)
        full.append(term.replace("...", "".join(names[32 - free :]) if "..." in term else ""))
    rest = "".join(names[32 - most :]) if most else ""
    if arrow:
        result = right.replace("...", rest)
    else:  # the letters that come once, in alphabetical order
        letters = "".join(full)
        result = rest + "".join(sorted(c for c in set(letters) - hidden if letters.count(c) == 1))
    every = set("".join(full))
    if len(set(result)) != len(result) or not set(result) <= every:
        raise UserError(
            f"equation '{equation}': the result '{result}' repeats a letter or has one of its own"
        )
    if not all(c.isalpha() for c in every):
        raise UserError(f"equation '{equation}' has characters that are no letters")
    return full, result


def einsum(b: Builder, equation: str, values: Sequence[Value], summed: Sum) -> Value:
    """Operands are multiplied from left to right; `summed` is how the framework's converters sum."""
    terms, result = parse(equation, [len(v.order) for v in values])
    operands = [_diagonals(b, v, term) for v, term in zip(values, terms, strict=True)]
    value, letters = operands[0]
    for i, (other, own) in enumerate(operands[1:], 1):
        later = {*result, *"".join(t for _, t in operands[i + 1 :])}
        value, letters = _product(b, (value, letters), (other, own), later, summed)
    gone = [d for d, c in enumerate(letters) if c not in result]
    if gone:
        value, letters = summed(value, gone), "".join(c for c in letters if c in result)
    return permuted(value, [letters.index(c) for c in result])


def _diagonals(b: Builder, v: Value, term: str) -> tuple[Value, str]:
    """An operand in which no letter comes twice: of such dimensions the diagonal is taken."""
    while repeated := [c for c in term if term.count(c) > 1]:
        c = repeated[0]
        i, j = [d for d, other in enumerate(term) if other == c][:2]
        order = [*(d for d in range(len(term)) if d not in (i, j)), i, j]
        shape = b.shape(v)
        size = shape[i]
        if shape[j] != size:
            raise UserError(f"layer '{b.where}': the diagonal of {size} x {shape[j]} elements")
        flat = b.logical(permuted(v, order))
        lead = tuple(shape[d] for d in order[:-2])
        row = view_as(b, flat, (*lead, size * size))
        row = b.logical(row)
        op = Slice((0,) * (len(lead) + 1), (*lead, size), (*(1 for _ in lead), size + 1))
        v = b.add(op, [row], tuple(range(len(lead) + 1)))
        term = "".join(term[d] for d in order[:-2]) + c
    return v, term


def _product(
    b: Builder, first: tuple[Value, str], second: tuple[Value, str], later: set[str], summed: Sum
) -> tuple[Value, str]:
    """Two operands as a batch of matrix products: shared letters that stay, letters of one, shared ones summed."""
    (x, xs), (y, ys) = first, second
    gone = [d for d, c in enumerate(xs) if c not in ys and c not in later]
    if gone:
        x, xs = summed(x, gone), "".join(c for d, c in enumerate(xs) if d not in gone)
    gone = [d for d, c in enumerate(ys) if c not in xs and c not in later]
    if gone:
        y, ys = summed(y, gone), "".join(c for d, c in enumerate(ys) if d not in gone)
    batch = [c for c in xs if c in ys and c in later]
    sums = [c for c in xs if c in ys and c not in later]
    rows, columns = [c for c in xs if c not in ys], [c for c in ys if c not in xs]
    sizes: dict[str, int] = {}
    for letters, shape in ((xs, b.shape(x)), (ys, b.shape(y))):
        for c, size in zip(letters, shape, strict=True):
            if sizes.get(c, size) not in (1, size) and size != 1:
                raise UserError(f"layer '{b.where}': '{c}' stands for {sizes[c]} and for {size} elements")
            sizes[c] = max(sizes.get(c, size), size)
    x = _matrices(b, x, xs, batch, rows, sums)
    y = _matrices(b, y, ys, batch, sums, columns)
    z = multiplied(b, x, y)
    shape = tuple(sizes[c] for c in (*batch, *rows, *columns))
    return view_as(b, z, shape), "".join((*batch, *rows, *columns))


def _matrices(
    b: Builder, x: Value, letters: str, batch: list[str], rows: list[str], columns: list[str]
) -> Value:
    """[*batch, rows, columns], the letters of each joined into one dimension."""
    own = dict(zip(letters, b.shape(x), strict=True))
    x = permuted(x, [letters.index(c) for c in (*batch, *rows, *columns)])
    m, n = (math.prod(own[c] for c in part) for part in (rows, columns))
    return view_as(b, x, (*(own[c] for c in batch), m, n))
