"""Learning rate schedules as pure functions of the step, so that a resumed run needs no schedule state."""

from __future__ import annotations

import math

from lilliput.train.config import TrainConfig

#: One-cycle starts at 1/25 of the peak (Smith and Topin, 2018) and ends at nothing.
ONECYCLE_START = 1 / 25


def rate_factor(config: TrainConfig, step: int, steps_per_epoch: int) -> float:
    """What `learning_rate` is multiplied with at `step` (0 is the first of the whole run)."""
    if config.schedule == "constant":
        return 1.0
    if config.schedule == "step":
        return config.step_factor ** (step // (config.step_epochs * steps_per_epoch))
    progress = step / (config.epochs * steps_per_epoch)
    if progress < config.warmup:
        rise = progress / config.warmup
        if config.schedule == "cosine":
            return rise
        return ONECYCLE_START + (1 - ONECYCLE_START) * (1 - math.cos(math.pi * rise)) / 2
    return (1 + math.cos(math.pi * (progress - config.warmup) / (1 - config.warmup))) / 2
