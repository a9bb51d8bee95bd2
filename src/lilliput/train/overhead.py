"""What the training loop costs over a bare torch loop with the same model and batches, for `make bench`."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from lilliput.data import Preprocess, Split
from lilliput.train.config import TrainConfig
from lilliput.train.loop import fit, make_optimizer, steps_per_epoch
from lilliput.train.pipeline import build_model
from lilliput.train.recipes import demo
from lilliput.train.source import load_split


def measure(pairs: int, samples: int = 2000, epochs: int = 2) -> list[float]:
    """CPU time of `fit` over that of the bare loop, one ratio per pair, on the demo's model and digits.

    Pairs are interleaved, so that a busy machine slows both alike; CPU time leaves out what others take. One
    thread: two would wait for each other actively, and the waiting counts.
    """
    project = demo()
    split, preprocess = load_split(project)
    small = Split(split.train.take(np.arange(samples)), split.validation, split.test)
    config = TrainConfig(epochs=epochs)

    def model() -> nn.Module:
        return build_model(project, split, preprocess)

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _bare(model(), small, preprocess, config)  # torch prepares itself on first use
        return [
            _cpu_seconds(lambda: fit(model(), small, config, preprocess=preprocess))
            / _cpu_seconds(lambda: _bare(model(), small, preprocess, config))
            for _ in range(pairs)
        ]
    finally:
        torch.set_num_threads(threads)


def _bare(model: nn.Module, split: Split, preprocess: Preprocess, config: TrainConfig) -> None:
    """The shortest loop that trains and validates on the same batches."""
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # no stub for it alone
    optimizer = make_optimizer(model, config)
    x = torch.from_numpy(preprocess.apply(split.train.x)).permute(0, 3, 1, 2)
    held = torch.from_numpy(preprocess.apply(split.validation.x)).permute(0, 3, 1, 2)
    y = torch.from_numpy(split.train.y)
    steps = steps_per_epoch(len(x), config.batch_size)
    for _ in range(config.epochs):
        model.train()
        for chosen in torch.randperm(len(x)).tensor_split(steps):
            loss = functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
            optimizer.step()
        model.eval()
        with torch.inference_mode():
            model(held)


def _cpu_seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start
