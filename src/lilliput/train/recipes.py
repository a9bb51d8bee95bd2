"""Settings that were measured: what `lilliput demo` trains (the same as examples/digits/project.toml)."""

from __future__ import annotations

from lilliput.train.config import Augment, CompileConfig, DataConfig, ModelConfig, PruneConfig, TrainConfig
from lilliput.train.project import Project


def demo() -> Project:
    """A MobileNetV2 for the embedded digits; all its channels are multiples of 4 after the pruning."""
    return Project(
        name="digits",
        data=DataConfig(format="digits", validation=0.03),
        model=ModelConfig(
            family="mobilenet_v2",
            options={"stem": 20, "stages": [[2.4, 32, 1, 2], [2.75, 32, 2, 1], [2.75, 48, 1, 2]], "head": 0},
        ),
        train=TrainConfig(epochs=12, batch_size=128, learning_rate=0.4),
        augment=Augment(rotate=8, shift=1.5, scale=0.1, shear=5, elastic=0.4),
        prune=PruneConfig(fraction=1 / 3, epochs=44, learning_rate=0.3),
        compile=CompileConfig(target="cortex-m4", name="digits"),
    )
