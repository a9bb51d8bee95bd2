"""An invented but realistic report: a MobileNetV2-like network for digits. Every figure here is made up."""

import math

import numpy as np

from lilliput.report.data import (
    AccuracyRow,
    Block,
    BoardJson,
    Classification,
    ClassRow,
    Confusion,
    Epoch,
    Kind,
    LayerJson,
    MemoryMap,
    ModelSize,
    ProfileJson,
    Pruning,
    Report,
    SqnrRow,
    Training,
    ValidationJson,
    WrongSample,
)

# (name, operator, kernel, MACs, instructions per MAC or the whole number, constants, output bytes)
_LAYERS = [
    ("stem.conv", "conv2d", "conv_s8", 21168, 3.4, 252, 2352),
    ("blocks.0.depthwise", "depthwise_conv2d", "depthwise_s8", 21168, 5.2, 288, 2352),
    ("blocks.0.project", "conv2d", "conv_s8", 28224, 2.6, 240, 1568),
    ("blocks.1.expand", "conv2d", "conv_s8", 37632, 2.5, 384, 4704),
    ("blocks.1.depthwise", "depthwise_conv2d", "depthwise_s8", 42336, 5.1, 576, 4704),
    ("blocks.1.project", "conv2d", "conv_s8", 37632, 2.4, 288, 1568),
    ("blocks.1.add", "add", "add_s8", 0, 21952, 0, 1568),
    ("blocks.2.expand", "conv2d", "conv_s8", 37632, 2.5, 384, 4704),
    ("blocks.2.depthwise", "depthwise_conv2d", "depthwise_s8", 10584, 5.3, 576, 1176),
    ("blocks.2.project", "conv2d", "conv_s8", 18816, 2.4, 544, 784),
    ("blocks.3.expand", "conv2d", "conv_s8", 37632, 2.3, 1152, 2352),
    ("blocks.3.depthwise", "depthwise_conv2d", "depthwise_s8", 21168, 5.1, 1152, 2352),
    ("blocks.3.project", "conv2d", "conv_s8", 37632, 2.3, 928, 784),
    ("blocks.3.add", "add", "add_s8", 0, 10976, 0, 784),
    ("blocks.4.expand", "conv2d", "conv_s8", 37632, 2.3, 1152, 2352),
    ("blocks.4.depthwise", "depthwise_conv2d", "depthwise_s8", 6912, 5.4, 1152, 768),
    ("blocks.4.project", "conv2d", "conv_s8", 24576, 2.3, 1824, 512),
    ("head.conv", "conv2d", "conv_s8", 49152, 2.2, 3840, 1536),
    ("head.pool", "global_average_pool", "global_average_pool_s8", 0, 9600, 0, 96),
    ("classifier", "linear", "linear_s8", 960, 3.1, 1040, 10),
]


def sample_report() -> Report:
    """The whole report, every section present."""
    return Report(
        title="Digits on a Cortex-M4",
        model="mobilenet_v2 (28×28×1, 10 classes)",
        version="0.1.0",
        target="cortex-m4",
        command="lilliput demo",
        accuracy=(
            AccuracyRow("float32", 0.9905, 2000),
            AccuracyRow("int8 reference", 0.9890, 2000),
            AccuracyRow("on the core", 0.9890, 2000),
        ),
        training=_training(),
        pruning=Pruning(ModelSize(21_894, 712_960, 0.9910), ModelSize(12_866, 470_856, 0.9905)),
        classification=_classification(),
        confusion=_confusion(),
        wrong=_wrong(24),
        memory=_memory(),
        profile=sample_profile(),
        quantization=_quantization(),
        validation=sample_validation(),
        boards=_boards(),
    )


def sample_profile() -> ProfileJson:
    """Twenty layers, depthwise ones dearer per MAC, code counted with the first layer that uses a kernel."""
    layers: list[LayerJson] = []
    code = {
        "conv_s8": 1184,
        "depthwise_s8": 920,
        "add_s8": 388,
        "global_average_pool_s8": 296,
        "linear_s8": 512,
    }
    for name, op, kernel, macs, rate, constants, _ in _LAYERS:
        instructions = round(macs * rate) if macs else int(rate)
        own_code = code.pop(kernel, 0) + 24
        layers.append(
            {
                "name": name,
                "op": op,
                "kernel": kernel,
                "macs": macs,
                "instructions": instructions,
                "code": own_code,
                "constants": constants,
            }
        )
    total = sum(layer["instructions"] or 0 for layer in layers) + 412
    all_code = sum(layer["code"] or 0 for layer in layers) + 640
    constants = sum(layer["constants"] or 0 for layer in layers) + 96
    return {
        "target": "cortex-m4",
        "macs": sum(layer["macs"] for layer in layers),
        "instructions": total,
        "instructions_range": [total, total],
        "cycles_estimate": [round(total * 1.21), round(total * 1.47)],
        "flash": {"code": all_code, "constants": constants, "total": all_code + constants},
        "ram": {"arena": _memory().arena, "stack": 472, "static": 0, "total": _memory().arena + 472},
        "layers": layers,
    }


def sample_validation() -> ValidationJson:
    """A passing result with keys of the kind that `validate` may add."""
    return {  # type: ignore[typeddict-unknown-key]
        "samples": 1000,
        "bit_exact": True,
        "first_difference": None,
        "integers_compared": 4_183_360,
        "layers_compared": 20,
        "target": "cortex-m4",
    }


def _training() -> Training:
    epochs = []
    for i in range(18):
        fall, bump = math.exp(-i / 2.6), 0.22 * math.exp(-(i - 12) / 1.2) if i >= 12 else 0.0
        wobble = 0.008 * math.sin(2.1 * i)
        val = 0.034 + 0.62 * fall + 0.6 * bump + wobble
        epochs.append(
            Epoch(
                0.028 + 1.25 * fall + bump,
                val,
                0.9925 - 0.16 * fall - 0.12 * bump - 0.1 * wobble,
                0.1 * 0.5 ** (i // 4),
            )
        )
    return Training(tuple(epochs), pruned_after=12)


def _confusion() -> Confusion:
    errors = {
        (4, 9): 4,
        (7, 2): 3,
        (9, 4): 2,
        (3, 5): 2,
        (5, 3): 2,
        (8, 3): 1,
        (6, 0): 1,
        (2, 7): 2,
        (7, 1): 1,
    }
    errors |= {(5, 6): 1, (9, 7): 2, (8, 9): 1}
    counts = [[0] * 10 for _ in range(10)]
    for i in range(10):
        counts[i][i] = 200 - sum(n for (true, _), n in errors.items() if true == i)
    for (i, j), n in errors.items():
        counts[i][j] = n
    return Confusion(tuple("0123456789"), tuple(tuple(row) for row in counts))


def _classification() -> Classification:
    confusion = _confusion()
    rows = []
    for i, label in enumerate(confusion.labels):
        right = confusion.counts[i][i]
        read, there = sum(row[i] for row in confusion.counts), sum(confusion.counts[i])
        rows.append(ClassRow(label, right / read, right / there, 2 * right / (read + there), there))
    means = [sum(getattr(row, key) for row in rows) / 10 for key in ("precision", "recall", "f1")]
    return Classification(tuple(rows), (ClassRow("macro average", *means, sum(row.support for row in rows)),))


def _wrong(n: int) -> tuple[WrongSample, ...]:
    """Strokes on a 28x28 grid: arcs and bars that look a little like digits."""
    y, x = np.mgrid[0:28, 0:28].astype(np.float64)
    pairs = [(4, 9), (7, 2), (9, 4), (3, 5), (5, 3), (2, 7), (8, 3), (6, 0)]
    samples = []
    for k in range(n):
        turn, radius = 0.7 * k, 5.5 + (k % 4)
        ring = np.abs(np.hypot(x - 13.5 - math.sin(turn), (y - 10) * 1.1) - radius * 0.8)
        bar = np.abs((x - 14) * math.cos(0.3 * math.sin(turn)) + (y - 14) * 0.25 * math.sin(turn)) + 8.0 * (
            (y < 9) | (y > 24)
        )
        ink = np.clip(2.2 - np.minimum(ring, bar), 0, 1) * 255
        true, predicted = pairs[k % len(pairs)]
        samples.append(WrongSample(ink.astype(np.uint8), str(true), str(predicted), 0.41 + 0.023 * k))
    return tuple(samples)


def _memory() -> MemoryMap:
    """Greedy by size, as a planner would place it; the inputs of the two additions stay alive."""
    steps = tuple(layer[0] for layer in _LAYERS)
    alive: list[tuple[str, int, int, int, Kind]] = [("image", 0, 0, 784, "input")]
    for i, (name, op, *_, size) in enumerate(_LAYERS):
        last = min(i + 1, len(_LAYERS) - 1) + (3 if name in ("blocks.0.project", "blocks.2.project") else 0)
        alive.append((name, i, last, size, "output" if i == len(_LAYERS) - 1 else "activation"))
        if op == "conv2d":
            alive.append((f"{name}.scratch", i, i, 256, "scratch"))
    blocks: list[Block] = []
    for name, first, last, size, kind in sorted(alive, key=lambda t: -t[3]):
        offset = 0
        for b in sorted(blocks, key=lambda b: b.offset):
            if (
                b.first <= last
                and first <= b.last
                and b.offset < offset + size
                and offset < b.offset + b.size
            ):
                offset = b.offset + b.size
        blocks.append(Block(name, first, last, offset, size, kind))
    return MemoryMap(
        max(b.offset + b.size for b in blocks), steps, tuple(sorted(blocks, key=lambda b: b.first))
    )


def _quantization() -> tuple[SqnrRow, ...]:
    return tuple(
        SqnrRow(
            name,
            op,
            math.inf
            if op == "global_average_pool"
            else 38.5 - 0.5 * i - (5.5 if op.startswith("depth") else 0),
        )
        for i, (name, op, *_) in enumerate(_LAYERS)
    )


def _boards() -> tuple[BoardJson, ...]:
    parts = [
        ("STM32G031K8 (Nucleo-32)", "cortex-m0plus", 64, 64, 8, False),
        ("STM32F030R8", "cortex-m0plus", 48, 64, 8, False),
        ("CH32V203C8T6", "rv32imc", 144, 64, 20, True),
        ("STM32F103C8 (Blue Pill)", "cortex-m3", 72, 64, 20, True),
        ("STM32L432KC (Nucleo-32)", "cortex-m4", 80, 256, 64, True),
        ("Nordic nRF52832", "cortex-m4", 64, 512, 64, True),
        ("Raspberry Pi Pico (RP2040)", "cortex-m0plus", 133, 2048, 264, True),
        ("Arduino Nano 33 BLE Sense", "cortex-m4", 64, 1024, 256, True),
        ("STM32F746NG (Discovery)", "cortex-m7", 216, 1024, 320, True),
        ("NXP i.MX RT1062 (Teensy 4.1)", "cortex-m7", 600, 7936, 1024, True),
        ("Marvell PXA270", "pxa27x", 520, 32768, 65536, True),
    ]
    rows: list[BoardJson] = []
    for name, core, mhz, flash, sram, fits in parts:
        seconds = 1_700_000 / (mhz * 1e6)
        rows.append(
            {
                "name": name,
                "core": core,
                "clock": mhz * 1e6,
                "flash": flash * 1024,
                "sram": sram * 1024,
                "fits": fits,
                "flash_free": flash * 1024 - 21_300,
                "ram_free": sram * 1024 - 11_448,
                "latency": [seconds * 1.1, seconds * 1.5],
                "energy": None if core in ("cortex-m7", "pxa27x") else [seconds * 0.018, seconds * 0.027],
                "recommended": core == "rv32imc",
                "estimated_from": None if core == "cortex-m4" else "cortex-m4",
                "misses": [] if fits else [f"RAM is {11_448 - sram * 1024} bytes short"],
            }
        )
    return tuple(rows)
