"""The training loop: it learns, it repeats itself exactly, it resumes without loss, it refuses nonsense."""

from __future__ import annotations

import errno
import os
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from lilliput.data import Dataset, Split, fit_preprocess, stratified_split
from lilliput.errors import UserError
from lilliput.files import write_bytes
from lilliput.train import (
    Augment,
    InterruptedTrainingError,
    TrainConfig,
    classification_report,
    evaluate,
    fit,
)
from lilliput.train.augment import augment
from lilliput.train.checkpoint import load_checkpoint
from lilliput.train.loop import CHECKPOINT, Epoch, steps_per_epoch, to_network
from lilliput.train.losses import class_weights
from lilliput.train.overhead import measure
from lilliput.train.schedule import rate_factor


def clouds(count: int = 300, seed: int = 0) -> Split:
    """Three classes of 2x2x2 samples around three centres."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(count) % 3)
    centres = np.random.default_rng(7).normal(0, 2, (3, 2, 2, 2))
    x = (centres[y] + rng.normal(0, 1, (count, 2, 2, 2))).astype(np.float32)
    data = Dataset(x, y.astype(np.int64), ("a", "b", "c"))
    train, held = stratified_split(data, 0.3, 0)
    return Split(train, held, held)


def line() -> Split:
    """Two numbers that depend linearly on the sample."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1, 1, 4)).astype(np.float32)
    y = (x.reshape(200, 4) @ rng.normal(size=(4, 2))).astype(np.float32)
    data = Dataset(x, y, ())
    train, held = stratified_split(data, 0.3, 0)
    return Split(train, held, held)


def network(outputs: int = 3, inputs: int = 8, dropout: float = 0.0) -> nn.Module:
    torch.manual_seed(1)
    layers = [nn.Flatten(), nn.Linear(inputs, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(16, outputs))


def weights(model: nn.Module) -> list[torch.Tensor]:
    return [value.clone() for value in model.state_dict().values()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# One thread: tests run side by side, and these networks are too small for two.
torch.set_num_threads(1)
QUICK = TrainConfig(epochs=6, batch_size=16, learning_rate=0.05)


# --- learning ---


@pytest.mark.parametrize("schedule", ["constant", "cosine", "onecycle", "step"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_classes_are_learned(optimizer: str, schedule: str) -> None:
    model, split = network(), clouds()
    config = TrainConfig(epochs=8, batch_size=16, learning_rate=0.02, optimizer=optimizer, schedule=schedule)
    assert evaluate(model, split.test.x, split.test.y).metric < 0.7
    history = fit(model, split, config)
    assert evaluate(model, split.test.x, split.test.y).metric > 0.93
    assert history.epochs[-1].train_loss < history.epochs[0].train_loss
    assert [epoch.number for epoch in history.epochs] == list(range(1, 9))
    assert not model.training


@pytest.mark.parametrize("loss", ["cross-entropy", "mse", "bce", "huber"])
def test_every_loss_learns_classes(loss: str) -> None:
    model, split = network(), clouds()
    config = TrainConfig(epochs=10, batch_size=16, learning_rate=0.1, loss=loss)
    fit(model, split, config)
    predicted = evaluate(model, split.test.x, split.test.y, config).predicted
    assert (predicted == split.test.y).mean() > 0.9


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_numbers_are_learned(loss: str) -> None:
    model, split = network(2, 4), line()
    config = TrainConfig(epochs=40, batch_size=16, learning_rate=0.01, optimizer="adam", loss=loss)
    before = evaluate(model, split.test.x, split.test.y, config)
    history = fit(model, split, config)
    assert history.metric_name == "mean absolute error"
    assert history.epochs[-1].metric < before.metric / 3


def test_bce_on_several_labels_at_once() -> None:
    split = line()
    parts = [replace(part, y=(part.y > 0).astype(np.float32)) for part in (split.train, split.validation)]
    split = Split(parts[0], parts[1], parts[1])
    model = network(2, 4)
    config = TrainConfig(epochs=20, batch_size=16, learning_rate=0.1, loss="bce")
    history = fit(model, split, config)
    assert history.epochs[-1].metric > 0.9


def test_loss_that_does_not_fit_the_targets() -> None:
    with pytest.raises(UserError, match="cross-entropy"):
        fit(network(2, 4), line(), TrainConfig())
    with pytest.raises(UserError, match="not all 0 or 1"):
        fit(network(2, 4), line(), TrainConfig(loss="bce"))
    with pytest.raises(UserError, match="does not go with loss 'mse'"):
        fit(network(), clouds(), TrainConfig(loss="mse", class_weights="balanced"))
    with pytest.raises(UserError, match="class_weights needs classes"):
        fit(network(2, 4), line(), TrainConfig(loss="mse", class_weights="balanced"))


def test_class_weights() -> None:
    split = clouds()
    rare = split.train.take(np.flatnonzero((split.train.y != 2) | (np.arange(len(split.train)) % 8 == 0)))
    balanced = class_weights(TrainConfig(class_weights="balanced"), rare)
    assert balanced is not None
    np.testing.assert_allclose(balanced.numpy() * rare.counts(), len(rare) / 3, rtol=1e-6)
    with pytest.raises(UserError, match="expected one for each of the 3"):
        class_weights(TrainConfig(class_weights=[1.0, 2.0]), rare)
    given = class_weights(TrainConfig(class_weights=[1.0, 2.0, 3.0]), rare)
    assert given is not None
    assert given.tolist() == [1, 2, 3]


@pytest.mark.parametrize("loss", ["cross-entropy", "bce"])
def test_class_weights_move_the_decision(loss: str) -> None:
    split = clouds()
    counts = []
    for value in (0.01, 100.0):
        model = network()
        fit(model, split, QUICK.model_copy(update={"class_weights": [1.0, 1.0, value], "loss": loss}))
        counts.append(int((evaluate(model, split.test.x, split.test.y).predicted == 2).sum()))
    assert counts[0] < counts[1]


def test_infinite_loss_is_named() -> None:
    with pytest.raises(UserError, match="lower learning_rate"):
        fit(network(2, 4), line(), TrainConfig(loss="mse", learning_rate=1e18, schedule="constant"))


# --- the same again ---


def test_same_seed_same_result() -> None:
    results = []
    for seed in (0, 0, 1):
        model = network(dropout=0.3)
        history = fit(
            model, clouds(), QUICK.model_copy(update={"seed": seed}), augmentation=Augment(noise=0.1)
        )
        results.append((weights(model), [epoch.train_loss for epoch in history.epochs]))
    assert same(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]
    assert not same(results[0][0], results[2][0])


def test_random_state_of_the_caller_is_untouched() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    model = network(dropout=0.3)
    torch.manual_seed(5)
    fit(model, clouds(), QUICK)
    assert torch.equal(torch.rand(3), expected)


class StopAt:
    """Raises KeyboardInterrupt in the given epoch, in the middle of it."""

    def __init__(self, epoch: int) -> None:
        self.at = epoch

    def __call__(self, epoch: int, epochs: int, step: int, steps: int) -> None:
        if epoch == self.at and step == steps // 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("patience", [0, 2])
def test_resume_loses_nothing(tmp_path: Path, optimizer: str, patience: int) -> None:
    config = QUICK.model_copy(update={"optimizer": optimizer, "patience": patience, "epochs": 8})
    moves = Augment(noise=0.2)
    straight = network(dropout=0.3)
    expected = fit(straight, clouds(), config, augmentation=moves)
    stopped = network(dropout=0.3)
    with pytest.raises(InterruptedTrainingError, match=r"2 of 8 epochs.*--resume"):
        fit(stopped, clouds(), config, augmentation=moves, checkpoint_dir=tmp_path, on_step=StopAt(3))
    resumed = network(dropout=0.3)
    seen: list[Epoch] = []
    history = fit(
        resumed,
        clouds(),
        config,
        augmentation=moves,
        checkpoint_dir=tmp_path,
        resume=True,
        on_epoch=seen.append,
    )
    assert same(weights(straight), weights(resumed))
    assert [(e.train_loss, e.metric) for e in history.epochs] == [
        (e.train_loss, e.metric) for e in expected.epochs
    ]
    assert history.best == expected.best
    assert seen[0].number == 3


def test_interrupt_without_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InterruptedTrainingError, match="nothing was saved \\(no checkpoint"):
        fit(network(), clouds(), QUICK, on_step=StopAt(1))
    with pytest.raises(InterruptedTrainingError, match="nothing was saved yet"):
        fit(network(), clouds(), QUICK, on_step=StopAt(1), checkpoint_dir=tmp_path)


def test_checkpoint_of_another_training(tmp_path: Path) -> None:
    fit(network(), clouds(), QUICK, checkpoint_dir=tmp_path)
    for other, data in (
        (QUICK.model_copy(update={"learning_rate": 0.01}), clouds()),
        (QUICK, clouds(seed=3)),
    ):
        with pytest.raises(UserError, match="another training"):
            fit(network(), data, other, checkpoint_dir=tmp_path, resume=True)
    # Without `resume` it starts over.
    assert len(fit(network(), clouds(), QUICK, checkpoint_dir=tmp_path).epochs) == 6


def test_damaged_checkpoint(tmp_path: Path) -> None:
    fit(network(), clouds(), QUICK, checkpoint_dir=tmp_path)
    file = tmp_path / CHECKPOINT
    content = file.read_bytes()
    for damaged in (b"", content[:100], b"\xff" * 8 + content[8:], b"\x80\x04pickle"):
        file.write_bytes(damaged)
        with pytest.raises(UserError, match="not a checkpoint of ours"):
            fit(network(), clouds(), QUICK, checkpoint_dir=tmp_path, resume=True)


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "sub" / "a.bin"
    write_bytes(file, b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        write_bytes(file, b"new")
    assert file.read_bytes() == b"old"
    assert [path.name for path in file.parent.iterdir()] == ["a.bin"]


def test_checkpoint_holds_no_pickle(tmp_path: Path) -> None:
    fit(network(), clouds(), QUICK.model_copy(update={"patience": 3}), checkpoint_dir=tmp_path)
    checkpoint = load_checkpoint(tmp_path / CHECKPOINT)
    assert {"random.shuffle", "random.torch"} <= set(checkpoint.tensors)
    assert len(checkpoint.record["epochs"]) == 6
    assert any(name.startswith("best.") for name in checkpoint.tensors)


# --- stopping and schedules ---


def chance() -> Split:
    """Labels without any relation to the samples: all that is learned is wrong elsewhere."""
    rng = np.random.default_rng(0)
    split = clouds()
    train = replace(split.train, y=rng.integers(0, 3, len(split.train)))
    held = replace(split.validation, y=rng.integers(0, 3, len(split.validation)))
    return Split(train, held, held)


STOPPING = TrainConfig(epochs=60, batch_size=16, learning_rate=0.05, schedule="constant", patience=4)


def test_early_stopping_keeps_the_best() -> None:
    model, split = network(), chance()
    history = fit(model, split, STOPPING)
    losses = [epoch.validation_loss for epoch in history.epochs]
    assert len(losses) < 60
    assert history.best == int(np.argmin(losses)) + 1 == len(losses) - 4
    # The same sum in the same order: only the fused multiply-adds of another batch size may differ.
    assert evaluate(model, split.test.x, split.test.y, STOPPING).loss == pytest.approx(min(losses), rel=1e-6)


def test_resume_remembers_a_best_before_the_interrupt(tmp_path: Path) -> None:
    straight, stopped, resumed = network(), network(), network()
    expected = fit(straight, chance(), STOPPING)
    after_best = StopAt(expected.best + 3)
    with pytest.raises(InterruptedTrainingError):
        fit(stopped, chance(), STOPPING, checkpoint_dir=tmp_path, on_step=after_best)
    history = fit(resumed, chance(), STOPPING, checkpoint_dir=tmp_path, resume=True)
    assert history.best == expected.best
    assert same(weights(straight), weights(resumed))


def test_rates() -> None:
    def factors(**settings: object) -> list[float]:
        config = TrainConfig(epochs=10, **settings)
        return [rate_factor(config, step, 10) for step in range(100)]

    onecycle = factors(schedule="onecycle", warmup=0.3)
    assert onecycle[0] == pytest.approx(1 / 25)
    assert onecycle[30] == max(onecycle) == 1
    assert onecycle[-1] < 0.002
    cosine = factors(schedule="cosine", warmup=0.0)
    assert cosine[0] == 1
    assert cosine[50] == pytest.approx(0.5)
    assert factors(schedule="cosine", warmup=0.1)[5] == pytest.approx(0.5)
    steps = factors(schedule="step", step_epochs=4, step_factor=0.5)
    assert [steps[0], steps[39], steps[40], steps[99]] == [1, 1, 0.5, 0.25]
    assert set(factors(schedule="constant")) == {1.0}


def test_no_tiny_batch() -> None:
    assert steps_per_epoch(200, 128) == 2
    assert steps_per_epoch(129, 128) == 1
    assert steps_per_epoch(3, 128) == 1
    assert steps_per_epoch(10_000, 128) == 78


def test_tensorboard_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float, int]] = []

    class Writer:
        def __init__(self, folder: str) -> None:
            assert folder == "log"

        def add_scalar(self, name: str, value: float, number: int) -> None:
            written.append((name, value, number))

        def flush(self) -> None:
            pass

    fake = types.ModuleType("torch.utils.tensorboard")
    fake.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", fake)
    history = fit(network(), clouds(), QUICK.model_copy(update={"tensorboard": "log", "epochs": 2}))
    assert ("metric", history.epochs[1].metric, 2) in written
    assert len(written) == 8


def test_tensorboard_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match=r"pip install 'lilliput\[tensorboard\]'"):
        fit(network(), clouds(), QUICK.model_copy(update={"tensorboard": "log"}))


def test_overhead_is_measured_on_both_loops() -> None:
    threads = torch.get_num_threads()
    ratios = measure(2, samples=256, epochs=1)
    assert len(ratios) == 2
    assert all(ratio > 0 for ratio in ratios)
    assert torch.get_num_threads() == threads


# --- what the network sees ---


def test_network_input_equals_preprocess() -> None:
    x = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3)).astype(np.uint8)
    p = fit_preprocess(x)
    assert np.array_equal(to_network(torch.from_numpy(x), p).numpy(), p.apply(x).transpose(0, 3, 1, 2))


def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(64, 2, 9, 13)).astype(np.float32))


def test_augment_off_is_identity() -> None:
    x = images()
    assert augment(x, Augment(), torch.Generator()) is x


def test_augment_repeats_with_its_generator() -> None:
    how = Augment(rotate=20, shift=2, scale=0.2, shear=10, elastic=1, noise=0.1, flip=True)
    a, b, c = (augment(images(), how, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.shape == images().shape


@pytest.mark.parametrize(
    "how", [Augment(rotate=30), Augment(shift=3), Augment(scale=0.3), Augment(shear=30), Augment(elastic=1.5)]
)
def test_warps_stay_within_the_values(how: Augment) -> None:
    x = images()
    moved = augment(x, how, torch.Generator().manual_seed(0))
    assert moved.min() >= x.min() - 1e-5
    assert moved.max() <= x.max() + 1e-5
    assert (moved - x).abs().mean() > 0.05


def test_flip_mirrors_half_of_them() -> None:
    x = images()
    moved = augment(x, Augment(flip=True), torch.Generator().manual_seed(0))
    mirrored = [torch.allclose(m, i.flip(-1), atol=1e-4) for m, i in zip(moved, x, strict=True)]
    same_as = [torch.allclose(m, i, atol=1e-4) for m, i in zip(moved, x, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same_as, strict=True))
    assert 20 <= sum(mirrored) <= 44


def test_rotation_keeps_its_distance_on_oblong_images() -> None:
    """A dot turned by at most 60 degrees about the centre stays on its circle, in pixels."""
    x = torch.zeros(200, 1, 21, 41)
    x[:, :, 10, 28] = 1.0  # eight pixels right of the centre
    moved = augment(x, Augment(rotate=60), torch.Generator().manual_seed(0))[:, 0]
    rows, columns = torch.meshgrid(torch.arange(21.0), torch.arange(41.0), indexing="ij")
    mass = moved.sum((1, 2))
    dy, dx = (moved * rows).sum((1, 2)) / mass - 10, (moved * columns).sum((1, 2)) / mass - 20
    assert torch.allclose(torch.hypot(dx, dy), torch.tensor(8.0), atol=0.3)
    assert dy.max() > 5
    assert dy.min() < -5


# --- figures ---


def test_classification_report_by_hand() -> None:
    truth, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 0, 1, 1, 0, 1])
    report = classification_report(truth, predicted, ("a", "b", "c", "d"))
    assert report.confusion.tolist() == [[2, 1, 0, 0], [1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert report.precision.tolist() == pytest.approx([2 / 3, 1 / 3, 0, 0])
    assert report.recall.tolist() == pytest.approx([2 / 3, 1 / 2, 0, 0])
    assert report.f1.tolist() == pytest.approx([2 / 3, 0.4, 0, 0])
    assert report.support.tolist() == [3, 2, 1, 0]
    assert report.accuracy == 0.5
    assert report.to_json()["classes"][1]["support"] == 2
