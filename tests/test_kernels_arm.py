"""The kernels of Arm cores without the DSP extension on theirs: equal to numpy, in place, and fast enough."""

from __future__ import annotations

import pytest

from lilliput.firmware import compile
from lilliput.graph import Shape
from lilliput.ops.conv import Conv2d, DepthwiseConv2d
from test_kernels_conv import SAME, Convolution, layer, shapes
from test_kernels_rv32 import depthwise, differences, met, pointwise, windows, with_kernels

CORES = {
    "cortex-m3": {"conv_s8_thumb2", "dw_s8_thumb2"},
    "pxa27x": {"conv_s8_arm32", "dw_s8_arm32"},
}


@pytest.mark.slow
@pytest.mark.parametrize("compiler", ["zig", pytest.param("gcc", marks=pytest.mark.cross)])
@pytest.mark.parametrize("core", CORES)
def test_every_shape(core: str, compiler: str) -> None:
    graphs = [*shapes(), *pointwise(), *windows(), *depthwise()]
    kernels = {*CORES[core], "conv_s8_4x2"}
    cases = with_kernels(graphs, core, kernels)
    assert met(cases) == kernels
    assert differences(cases, core, compiler) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("core", "op", "x", "kernel", "out", "most"),
    [
        ("cortex-m3", Conv2d(), (1, 12, 12, 64), (1, 1), 64, 2.15),
        ("cortex-m3", Conv2d(padding=SAME), (1, 8, 8, 16), (3, 3), 16, 2.3),
        ("cortex-m3", DepthwiseConv2d(padding=SAME), (1, 12, 12, 64), (3, 3), 64, 4.3),
        ("pxa27x", Conv2d(), (1, 12, 12, 64), (1, 1), 64, 1.8),
        ("pxa27x", Conv2d(padding=SAME), (1, 8, 8, 16), (3, 3), 16, 1.9),
        ("pxa27x", DepthwiseConv2d(padding=SAME), (1, 12, 12, 64), (3, 3), 64, 4.6),
    ],
)
def test_instructions_per_mac(
    core: str, op: Convolution, x: Shape, kernel: tuple[int, int], out: int, most: float, tmp_path: object
) -> None:
    profile = compile(layer(op, x, kernel, out, 1), core, name="layer", out=str(tmp_path)).profile()
    assert profile["instructions"] <= most * profile["macs"]
