"""Channel pairs packed for the DSP extension (c/packed_pair.h): what must be provable of them, and their constants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lilliput import fixed
from lilliput.graph import Array
from lilliput.ops.conv.channels import Channels

TAPS = 4
"""Taps of a unit of weights."""
OFFSETS = 1 << 13
"""How far a bias may be moved to bring a line to where its staircase wants it."""
NEAREST = np.array(sorted(range(-OFFSETS, OFFSETS), key=abs), np.int64)
FAR = 1 << 62
"""No bound."""


def units(taps: int) -> int:
    """Units of weights of a channel: at least two, as the kernels' loops want it."""
    return max(2, -(-taps // TAPS))


def pairs_of(channels: int) -> Array:
    """The channels in pairs [pair, 2]; the last two come once more where their number is odd."""
    firsts = np.arange(0, channels - 1, 2)
    if channels % 2:
        firsts = np.append(firsts, channels - 2)
    return np.stack([firsts, firsts + 1], axis=1)


def fours_of(channels: int) -> Array:
    """The channels in pairs of pairs [pair, 2]; the last one is repeated where they are no multiple of four."""
    return np.minimum(np.arange(-(-channels // 4) * 4), channels - 1).reshape(-1, 2)


def provable(channels: Channels, pairs: Array) -> bool:
    """Whether these pairs can be packed and the channels requantized with one right shift.

    The sum of the second channel, its bias moved, must fit in 24 bits, and its byte must not pass -128.
    """
    a, b = channels.weights[pairs[:, 0]], channels.weights[pairs[:, 1]]
    least, most = channels.reach
    reach = np.maximum(np.abs(least), np.abs(most))[pairs[:, 1]] + OFFSETS
    fits = not ((b == -128) & (a < 0)).any() and (reach < 1 << 23).all()
    return bool(fits) and channels.shift_right()


def words(channels: Channels, pairs: Array) -> Array:
    """The weights of pairs [pair, units * 2], as the bytes of channels A and B at the taps (0, 2) and (1, 3)."""
    taps = channels.weights.shape[1]
    padded = np.pad(channels.weights, ((0, 0), (0, units(taps) * TAPS - taps))).astype(np.int64)
    by_two = padded.reshape(len(padded), -1, 2, 2).transpose(0, 1, 3, 2)  # [channel, unit, word, tap]
    lanes = 256 * by_two[pairs[:, 1]] + by_two[pairs[:, 0]]
    found = (lanes[..., 0] & 0xFFFF) | (lanes[..., 1] & 0xFFFF) << 16
    return _int32(found.reshape(len(pairs), -1))


def _int32(values: Array) -> Array:
    """The low 32 bits, as int32."""
    return np.asarray(values, np.int64).astype(np.uint32).view(np.int32)


@dataclass(frozen=True, eq=False)
class Requantization:
    """Per pair: the biases of A and B, and the two words {q, r} of each."""

    bias: Array  # [pair, 2]
    constants: Array  # [pair, 4]


def requantization(channels: Channels, pairs: Array) -> Requantization:
    """On a line where there is one for both channels of a pair, else exactly as `scale_right` rounds."""
    lines = [_lines(channels, pairs[:, 0], 32), _lines(channels, pairs[:, 1], 24)]
    both = lines[0].found & lines[1].found
    bias = channels.folded_bias()[pairs]
    n = -channels.shift[pairs].astype(np.int64)
    r = (2 * channels.out_zp + 1) << 16 | (n - 1)
    mark = np.array([1 << 31, 0])
    exact = np.stack([channels.m[pairs] | mark, r], axis=2)
    straight = np.stack([np.stack([line.m, line.c], axis=1) for line in lines], axis=1)
    moved = bias + np.stack([line.offset for line in lines], axis=1)
    return Requantization(
        np.where(both[:, None], moved, bias),
        _int32(np.where(both[:, None, None], straight, exact).reshape(len(pairs), 4)),
    )


@dataclass(frozen=True, eq=False)
class Lines:
    """Per channel: result = (((acc + offset) m + 2^31) / 2^32 + c) >> 5 for every reachable accumulator."""

    found: Array
    m: Array
    offset: Array
    c: Array


SHIFT = 5
"""Of the kernels' SSAT for A; for B, whose sum comes 256-fold, it is 8 more."""


def _lines(channels: Channels, which: Array, bits: int) -> Lines:
    """Staircases as lines: a result of j or more begins at the accumulator T[j].

    A line gives the same if it passes j between T[j] - 1 and T[j]: T m + d >= j 2^37 > (T - 1) m + d. With c, d
    moves in steps of 2^bits, and with the offset in steps of m modulo that.
    """
    least, most = (v[which] for v in channels.reach)
    starts = _stairs(channels, which)
    n = -channels.shift[which].astype(np.int64)
    ideal = np.round(channels.m[which] * 2.0 ** (SHIFT + 1 - n)).astype(np.int64)
    found, m, offset, c = (np.zeros(len(which), np.int64) for _ in range(4))
    for count, nearby in ((1 << 10, 0), *((len(NEAREST), by) for by in (0, -1, 1, -2, 2))):
        left = np.flatnonzero(found == 0)
        slope = np.minimum(ideal[left] + nearby, 2**31 - 1)
        low, high = _window(starts[left], least[left], most[left], slope)
        rest = -(low[:, None] - NEAREST[:count] * slope[:, None] - (1 << (bits - 1))) % (1 << bits)
        best = (rest <= (high - low)[:, None]).argmax(1)
        d = low + rest[np.arange(len(left)), best]
        m[left], offset[left], c[left] = slope, NEAREST[best], (d - NEAREST[best] * slope) >> bits
        ends = np.maximum(np.abs(least[left] * slope + d), np.abs(most[left] * slope + d))
        found[left] = (d <= high) & (ends < 1 << (bits + 30)) & (np.abs(c[left]) < 1 << 30)
    return Lines(found > 0, m, offset, c)


def _window(starts: Array, least: Array, most: Array, m: Array) -> tuple[Array, Array]:
    """The least and greatest d of a line. Of steps outside the reach, one end bounds it, if any."""
    at_step = (np.arange(-127, 128) << (SHIFT + 32)) - starts * m[:, None]
    low = np.where(starts <= most[:, None], at_step, -FAR).max(1)
    high = np.where(starts > least[:, None], at_step + m[:, None], FAR).min(1) - 1
    wide = np.int64(1) << (SHIFT + 32)
    return np.where(low == -FAR, high - wide, low), np.where(high == FAR - 1, low + wide, high)


def _stairs(channels: Channels, which: Array) -> Array:
    """[channel, 255]: the least reachable accumulator whose result is at least -127 ... 127, or one past the last."""
    least, most = (v[which, None] for v in channels.reach)
    j = np.arange(-127, 128)
    low, high = np.broadcast_to(least, (len(which), len(j))), np.broadcast_to(most + 1, (len(which), len(j)))
    m, shift = channels.m[which, None], channels.shift[which, None]
    while (low < high).any():
        middle = (low + high) >> 1
        reached = fixed.scale_by(middle, m, shift) + channels.out_zp >= j
        low, high = np.where(reached, low, np.minimum(middle + 1, high)), np.where(reached, middle, high)
    return low


def stream(channels: Channels, pairs: Array, together: int = 1) -> Array:
    """The constants of pairs as the kernels read them; those of `together` pairs are interleaved word by word."""
    found = requantization(channels, pairs)
    a, b = found.bias[:, :1], found.bias[:, 1:]
    first = _int32(np.concatenate([a, 256 * b + a], axis=1)).reshape(-1, together * 2)
    weights = (
        words(channels, pairs).reshape(len(first), together, -1).transpose(0, 2, 1).reshape(len(first), -1)
    )
    last = found.constants.reshape(-1, together * 4)
    return np.concatenate([first, weights, last], axis=1).reshape(-1)
