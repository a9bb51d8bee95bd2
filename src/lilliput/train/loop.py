"""The training loop: plain torch, checkpoints that lose nothing, early stopping, reproducible results."""

from __future__ import annotations

import json
import math
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lilliput.data import Dataset, Preprocess, Split
from lilliput.errors import UserError
from lilliput.train.augment import augment
from lilliput.train.checkpoint import (
    Checkpoint,
    flatten_optimizer,
    load_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from lilliput.train.config import Augment, TrainConfig
from lilliput.train.losses import LossFunction, make_loss, metric, metric_name
from lilliput.train.schedule import rate_factor

#: The file in a checkpoint folder.
CHECKPOINT = "checkpoint.safetensors"


class InterruptedTrainingError(UserError):
    """Training was stopped by Ctrl-C; says how to go on."""


@dataclass(frozen=True)
class Epoch:
    """Figures of one epoch; `metric` is of the validation data (see `History.metric_name`)."""

    number: int
    train_loss: float
    validation_loss: float
    metric: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class History:
    """All epochs; the weights kept are those after epoch `best` (the last without early stopping)."""

    epochs: tuple[Epoch, ...]
    best: int
    metric_name: str

    @property
    def seconds(self) -> float:
        return sum(epoch.seconds for epoch in self.epochs)

    def to_json(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Raw outputs (N, K) float32 of a model on data, their loss and metric."""

    outputs: NDArray[Any]
    loss: float
    metric: float

    @property
    def predicted(self) -> NDArray[Any]:
        """Class indices: the first of equals."""
        return np.asarray(np.argmax(self.outputs, axis=1))


#: Networks for microcontrollers are too small for more: two threads were 20 % slower, and with one the sums, and so the
#: trained weights, do not depend on the number of cores.
THREADS = 1

#: Called after each epoch; and after each step with (epoch, epochs, step, steps), counted from 1.
OnEpoch = Callable[[Epoch], None]
OnStep = Callable[[int, int, int, int], None]


@dataclass(eq=False)
class _Run:
    """A running training: what it was asked for, and the state that a checkpoint holds."""

    model: nn.Module
    split: Split
    config: TrainConfig
    augmentation: Augment | None
    preprocess: Preprocess | None
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    loss: LossFunction
    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    best_loss: float = math.inf
    best_state: dict[str, torch.Tensor] | None = None


def fit(
    model: nn.Module,
    split: Split,
    config: TrainConfig,
    *,
    augmentation: Augment | None = None,
    preprocess: Preprocess | None = None,
    on_epoch: OnEpoch | None = None,
    on_step: OnStep | None = None,
    checkpoint_dir: Path | None = None,
    resume: bool = False,
) -> History:
    """Train `model` in place on `split.train`, with validation after each epoch; leaves it in eval mode.

    Same arguments, same model, same result. With a `checkpoint_dir` the state is saved after every epoch, and
    `resume` goes on from there, to the same result as without the interruption.
    """
    random_before, threads_before = torch.get_rng_state(), torch.get_num_threads()
    torch.manual_seed(config.seed)
    torch.set_num_threads(THREADS)
    # Convolutions on channels-last memory are about a quarter faster on CPUs.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # no stub for it alone
    optimizer, loss = make_optimizer(model, config), make_loss(config, split.train)
    generator = torch.Generator().manual_seed(config.seed)
    run = _Run(model, split, config, augmentation, preprocess, optimizer, generator, loss)
    try:
        return _train(run, on_epoch, on_step, checkpoint_dir / CHECKPOINT if checkpoint_dir else None, resume)
    finally:
        torch.set_rng_state(random_before)
        torch.set_num_threads(threads_before)
        model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # no stub for it alone
        model.eval()


def _train(
    run: _Run, on_epoch: OnEpoch | None, on_step: OnStep | None, file: Path | None, resume: bool
) -> History:
    config = run.config
    mark = _fingerprint(run) if file else ""
    if file is not None and file.exists():
        if resume:
            _restore(run, file, mark)
        else:
            file.unlink()
    log = _tensorboard(config.tensorboard)
    x, y = _tensor(run.split.train.x), _tensor(run.split.train.y)
    try:
        while len(run.epochs) < config.epochs and not _stopped(run):
            run.epochs.append(_epoch(run, x, y, on_step))
            _keep_best(run)
            if file is not None:
                _save(run, file, mark)
            if log is not None:
                log(run.epochs[-1])
            if on_epoch is not None:
                on_epoch(run.epochs[-1])
    except KeyboardInterrupt:
        raise InterruptedTrainingError(_interrupted(len(run.epochs), config.epochs, file)) from None
    if run.best_state is not None:
        run.model.load_state_dict(run.best_state)
    return History(tuple(run.epochs), run.best, metric_name(config))


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """The optimizer of the configuration; weight decay pulls on weights, not on biases and batch-norm."""
    weights = [p for p in model.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": weights, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    rate = config.learning_rate
    if config.optimizer == "sgd":
        nesterov = config.momentum > 0
        return torch.optim.SGD(groups, lr=rate, momentum=config.momentum, nesterov=nesterov, foreach=True)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=rate, foreach=True)


def _epoch(run: _Run, x: torch.Tensor, y: torch.Tensor, on_step: OnStep | None) -> Epoch:
    start = time.perf_counter()
    config, number = run.config, len(run.epochs) + 1
    steps = steps_per_epoch(len(x), config.batch_size)
    run.model.train()
    total = 0.0
    for index, (batch, targets) in enumerate(_batches(run, x, y, steps)):
        rate = config.learning_rate * rate_factor(config, (number - 1) * steps + index, steps)
        for group in run.optimizer.param_groups:
            group["lr"] = rate
        value = _step(run, batch, targets)
        if not math.isfinite(value):
            raise UserError(
                f"train: the loss is {value} in epoch {number}, step {index + 1}; expected a finite number: "
                f"lower learning_rate (now {config.learning_rate})"
            )
        total += value * len(batch)
        if on_step is not None:
            on_step(number, config.epochs, index + 1, steps)
    held = run.split.validation
    result = evaluate(run.model, held.x, held.y, config, preprocess=run.preprocess, loss=run.loss)
    seconds = time.perf_counter() - start
    return Epoch(number, total / len(x), result.loss, result.metric, rate, seconds)


def _batches(
    run: _Run, x: torch.Tensor, y: torch.Tensor, steps: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The shuffled batches of an epoch, preprocessed and augmented by a second thread while the network learns.

    One thread prepares them in order, so that random numbers are drawn in order: the result is the same every time.
    """

    def prepare(chosen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        batch = to_network(x[chosen], run.preprocess)
        if run.augmentation is not None:
            batch = augment(batch, run.augmentation, run.generator)
        return batch, y[chosen]

    parts = torch.randperm(len(x), generator=run.generator).tensor_split(steps)
    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(THREADS,)) as pool:
        ahead = pool.submit(prepare, parts[0])
        for part in parts[1:]:
            ready, ahead = ahead.result(), pool.submit(prepare, part)
            yield ready
        yield ahead.result()


def _step(run: _Run, batch: torch.Tensor, y: torch.Tensor) -> float:
    """One update of the weights; the loss before it."""
    loss = run.loss(run.model(batch), y)
    run.optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
    run.optimizer.step()
    return float(loss.detach())


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Batches are all alike in size, to within one sample: a tiny last one would upset batch-norm."""
    return max(1, round(samples / batch_size))


def to_network(x: torch.Tensor, preprocess: Preprocess | None) -> torch.Tensor:
    """Samples (N, H, W, C) as the float (N, C, H, W) that the network takes, preprocessed."""
    values = x.to(torch.float32)
    if preprocess is not None:
        scale, offset = preprocess.scale_offset()
        values = values * torch.from_numpy(scale) + torch.from_numpy(offset)
    return values.permute(0, 3, 1, 2)


def _tensor(array: NDArray[Any]) -> torch.Tensor:
    """The array's own memory where torch can have it: dense and writable."""
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def evaluate(
    model: nn.Module,
    x: NDArray[Any],
    y: NDArray[Any],
    config: TrainConfig | None = None,
    *,
    preprocess: Preprocess | None = None,
    loss: LossFunction | None = None,
    batch_size: int = 500,
) -> Evaluation:
    """Outputs, loss and metric of `model` on samples (N, H, W, C), in eval mode (in which it is left)."""
    config = config or TrainConfig()
    model.eval()
    pieces = []
    with torch.inference_mode():
        for piece in torch.split(_tensor(x), batch_size):
            pieces.append(model(to_network(piece, preprocess)))
        outputs, targets = torch.cat(pieces), _tensor(y)
        if loss is None:
            labels = tuple(map(str, range(outputs.shape[1]))) if y.ndim == 1 else ()
            loss = make_loss(config, Dataset(x, y, labels))
        value = float(loss(outputs, targets))
        return Evaluation(outputs.numpy(), value, metric(config, outputs, targets))


def _keep_best(run: _Run) -> None:
    """Remember the weights of the lowest validation loss if early stopping is on, else the last epoch."""
    last = run.epochs[-1]
    if not run.config.patience:
        run.best = last.number
    elif last.validation_loss < run.best_loss:
        run.best, run.best_loss = last.number, last.validation_loss
        run.best_state = {name: value.detach().clone() for name, value in run.model.state_dict().items()}


def _stopped(run: _Run) -> bool:
    return bool(run.config.patience) and len(run.epochs) - run.best >= run.config.patience


def _fingerprint(run: _Run) -> str:
    """What must be equal for a checkpoint to be a part of this training."""
    shapes = {name: list(value.shape) for name, value in run.model.state_dict().items()}
    train = run.split.train
    return json.dumps(
        {
            "config": run.config.model_dump(exclude={"tensorboard"}),
            "augment": run.augmentation.model_dump() if run.augmentation else None,
            "preprocess": run.preprocess.to_json() if run.preprocess else None,
            "shapes": shapes,
            "data": [zlib.crc32(np.ascontiguousarray(array).data) for array in (train.x, train.y)],
        }
    )


def _save(run: _Run, file: Path, mark: str) -> None:
    tensors = {f"model.{name}": value for name, value in run.model.state_dict().items()}
    if run.best_state is not None:
        tensors |= {f"best.{name}": value for name, value in run.best_state.items()}
    tensors |= flatten_optimizer(run.optimizer)
    tensors |= {"random.shuffle": run.generator.get_state(), "random.torch": torch.get_rng_state()}
    best_loss = run.best_loss if math.isfinite(run.best_loss) else None
    record: dict[str, object] = {
        "fingerprint": mark,
        "epochs": [asdict(epoch) for epoch in run.epochs],
        "best": run.best,
        "best_loss": best_loss,
    }
    save_checkpoint(file, Checkpoint(tensors, record))


def _restore(run: _Run, file: Path, mark: str) -> None:
    checkpoint = load_checkpoint(file)
    record, tensors = checkpoint.record, checkpoint.tensors
    if record.get("fingerprint") != mark:
        raise UserError(
            f"{file}: belongs to another training (model, data or settings differ); "
            "train without --resume, or restore the settings"
        )
    run.model.load_state_dict(_with_prefix(tensors, "model."))
    restore_optimizer(run.optimizer, tensors)
    run.generator.set_state(tensors["random.shuffle"])
    torch.set_rng_state(tensors["random.torch"])
    run.epochs = [Epoch(**epoch) for epoch in cast(list[dict[str, Any]], record["epochs"])]
    run.best = cast(int, record["best"])
    best_loss = cast(float | None, record["best_loss"])
    run.best_loss = math.inf if best_loss is None else best_loss
    run.best_state = _with_prefix(tensors, "best.") or None


def _with_prefix(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}


def _interrupted(done: int, epochs: int, file: Path | None) -> str:
    where = f"training was interrupted after {done} of {epochs} epochs"
    if file is None:
        return f"{where}; nothing was saved (no checkpoint folder was given)"
    if not done:
        return f"{where}; nothing was saved yet"
    return f"{where}; they are saved in {file}: run the same command with --resume to go on"


def _tensorboard(folder: str) -> OnEpoch | None:
    """Writes each epoch's figures to a TensorBoard log, if a folder is given."""
    if not folder:
        return None
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise UserError(
            f"train.tensorboard is {folder!r} but tensorboard is not installed; "
            "install it with: pip install 'lilliput[tensorboard]'"
        ) from None
    writer = SummaryWriter(folder)

    def write(epoch: Epoch) -> None:
        for name in ("train_loss", "validation_loss", "metric", "learning_rate"):
            writer.add_scalar(name, getattr(epoch, name), epoch.number)
        writer.flush()

    return write
