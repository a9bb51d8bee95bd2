"""The output channels of a convolution as integers: weights, bias, requantization, and what is provable of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lilliput import fixed
from lilliput.graph import INT_RANGE, Array


@dataclass(frozen=True, eq=False)
class Channels:
    """Channel c computes clamp(scale_by(bias[c] + sum(weights[c] * (x - in_zp)), m[c], shift[c]) + out_zp)."""

    weights: Array  # int8 [channel, taps]
    bias: Array  # int32 [channel]
    m: Array
    shift: Array  # negative is right
    in_zp: int
    out_zp: int
    clamp: tuple[int, int]

    @property
    def reach(self) -> tuple[Array, Array]:
        """The least and greatest accumulator of each channel, over every input and any padding."""
        lo, hi = (v - self.in_zp for v in INT_RANGE["int8"])
        w = self.weights.astype(np.int64)
        bias = self.bias.astype(np.int64)
        return bias + np.minimum(w * lo, w * hi).sum(1), bias + np.maximum(w * lo, w * hi).sum(1)

    def output(self, acc: Array) -> Array:
        """What an accumulator per channel becomes."""
        return np.asarray(fixed.finish(acc, self.m, self.shift, self.out_zp, self.clamp, "int8"), np.int64)

    def constant(self) -> Array:
        """Which channels give the same integer whatever the input is: requantization is monotone."""
        least, most = self.reach
        left = np.maximum(self.shift, 0)
        whole = (
            np.maximum(np.abs(least), np.abs(most)) << left
        ) < 2**31 - 2**8  # nothing wraps, the zero point added
        return np.asarray(whole & (self.output(least) == self.output(most)))

    def simplified(self) -> Channels:
        """The same results with constant channels in one form: no weights, and 4 v scaled by 1/4 for the constant v.

        Trained networks hold such channels with extreme biases or multipliers; a single one would keep a whole
        layer from the fast kernels. Exact: doubling_high_mul(4 v, 2^30) = 2 v, and 2 v / 2 = v without rounding.
        """
        fixed_ones = self.constant()
        value = self.output(self.reach[0]) - self.out_zp
        return replace(
            self,
            weights=np.where(fixed_ones[:, None], 0, self.weights).astype(np.int8),
            bias=np.where(fixed_ones, 4 * value, self.bias).astype(np.int32),
            m=np.where(fixed_ones, 1 << 30, self.m).astype(np.int32),
            shift=np.where(fixed_ones, -1, self.shift).astype(np.int32),
        )

    def shift_right(self) -> bool:
        """The proof `scale_right` needs: every channel shifts right by at least one and nothing can overflow.

        Partial sums stay below |bias| plus the largest product of every tap, also with the zero point folded into the
        bias, as |in_zp| <= 128 <= the largest |x - in_zp|.
        """
        widest = max(127 - self.in_zp, self.in_zp + 128)
        acc = np.abs(self.bias.astype(np.int64)) + np.abs(self.weights.astype(np.int64)).sum(1) * widest
        n = -self.shift.astype(np.int64)
        if (n < 1).any() or (n > 30).any() or (self.m < 2**30).any() or (acc >= 2**30).any():
            return False
        rounding = np.abs(2 * self.out_zp + 1) * (np.int64(1) << (n - 1))
        return bool((acc + rounding + 1 < 2**31).all())

    def folded_bias(self) -> Array:
        """The bias with the input's zero point in it: sum((x - z) w) + b = sum(x w) + (b - z sum(w))."""
        return np.asarray(self.bias.astype(np.int64) - self.in_zp * self.weights.astype(np.int64).sum(1))
