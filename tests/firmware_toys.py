"""The toy firmware of tests/toys, built for a core, and what it must compute."""

from pathlib import Path

import numpy as np

from lilliput.build import Optimize, build_firmware
from lilliput.image import Image
from lilliput.target import Region, load_target, target_names

TOYS = Path(__file__).parent / "toys"
UNICORN_CORES = tuple(name for name in target_names() if load_target(name).emulator == "unicorn")
LAYERS = ("toy_l0", "toy_l1", "toy_l2")
TOY_W = np.array([(-1) ** i * (i + 1) for i in range(16)] + [i + 1 for i in range(16)])


def build_toy(
    name: str,
    core: str,
    folder: Path,
    optimize: Optimize = "speed",
    compiler: str = "zig",
    flash: Region | None = None,
    ram: Region | None = None,
    extra: tuple[str, ...] = (),
) -> Image:
    """tests/toys/NAME.c as firmware for `core`."""
    return build_firmware(
        [TOYS / f"{name}.c"],
        folder / f"{name}-{core}.elf",
        load_target(core),
        prefix=name,
        compiler=compiler,
        optimize=optimize,
        flash=flash,
        ram=ram,
        extra=extra,
    )


def toy_layers(x: np.ndarray) -> list[np.ndarray]:
    """The three layers of toy.c in numpy, exactly."""
    first = np.clip(x.astype(int) * TOY_W, -128, 127)
    divisor = TOY_W + 20
    second = np.sign(first) * (np.abs(first * 3) // divisor)
    third = second.reshape(4, 8).sum(axis=1) >> 2
    return [layer.astype(np.int8) for layer in (first, second, third)]
