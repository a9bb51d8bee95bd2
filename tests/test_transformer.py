"""A transformer encoder on spoken words: in int8 within a point of float, the same bits in C and on the core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import lilliput
from batch import Case, host_differences, host_models
from lilliput import zoo
from lilliput.evaluate import run
from lilliput.graph import Array
from lilliput.plan import plan
from shared import shared

pytestmark = pytest.mark.slow
STEPS, FEATURES, CLASSES = 49, 10, 12
ON_CORE = 24


def words() -> dict[str, tuple[Array, Array]]:
    """Cepstra [N, 49, 10, 1] in units of their deviation, and classes; no speaker is in both parts."""
    raw = np.load(shared("data", "speech_commands", "kws12_mfcc49x10_int8.npz"))
    x, y, test = raw["x"].astype(np.float32)[..., None] / 23, raw["y"].astype(np.int64), raw["is_test"]
    return {"train": (x[~test], y[~test]), "test": (x[test], y[test])}


def trained(x: Array, y: Array, epochs: int = 12) -> nn.Module:
    """The zoo's encoder of two layers, with words shifted in time by up to four frames and a little noise."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    net = zoo.build("transformer", input_shape=(STEPS, FEATURES, 1), classes=CLASSES, stride=2)
    assert sum(isinstance(m, nn.TransformerEncoderLayer) for m in net.modules()) == 2
    optimizer = torch.optim.AdamW(net.parameters(), 4e-3, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, epochs * (len(x) // 64 + 1))
    for _ in range(epochs):
        for index in torch.randperm(len(x)).split(64):
            moved = np.clip(np.arange(STEPS) - rng.integers(-4, 5, (len(index), 1)), 0, STEPS - 1)
            batch = torch.from_numpy(x[index.numpy()[:, None], moved]).permute(0, 3, 1, 2)
            outputs = net(batch + 0.2 * torch.randn(batch.shape))
            optimizer.zero_grad()
            nn.functional.cross_entropy(outputs, torch.from_numpy(y[index.numpy()])).backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def test_two_encoder_layers(tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        parts = words()
        net = trained(*parts["train"])
        x, y = parts["test"]
        graph = lilliput.load(net, torch.zeros(1, 1, STEPS, FEATURES))
        with torch.no_grad():
            expected = net(torch.from_numpy(x).permute(0, 3, 1, 2)).numpy()
    finally:
        torch.set_num_threads(threads)
    real = run(graph, x)
    np.testing.assert_allclose(real, expected, atol=1e-3)  # float32, summed in another order
    integers = lilliput.quantize(graph, parts["train"][0][::10])
    assert {t.dtype for t in integers.tensors.values() if not t.constant} == {"int8"}
    whole = run(integers, x)
    accuracy = {name: float((z.argmax(-1) == y).mean()) for name, z in (("float", real), ("int8", whole))}
    assert accuracy["float"] > 0.7
    assert abs(accuracy["float"] - accuracy["int8"]) <= 0.01, accuracy
    case = Case("transformer", plan(integers))
    assert host_differences([case], host_models([case]), seed=1, count=3) == []
    firmware = lilliput.compile(integers, "cortex-m4", name="words", out=tmp_path)
    assert np.array_equal(firmware.run(x, "host"), whole)
    assert np.array_equal(firmware.run(x[:ON_CORE]), whole[:ON_CORE])
    verdict = firmware.validate(x[:2])  # layer by layer
    assert verdict["bit_exact"], verdict
