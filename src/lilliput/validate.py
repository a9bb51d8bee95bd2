"""The proof: numpy reference, host C and emulated core agree in every output, and on a sample in every layer."""

from __future__ import annotations

from typing import Any

import numpy as np

from lilliput.errors import UserError
from lilliput.evaluate import as_input, run, step_through
from lilliput.firmware import Firmware, Progress, Where, layers_on_host, layers_on_machine
from lilliput.graph import Array

LAYER_SAMPLES = 4
FLOAT_BOUND = 1e-3
"""Float32 models: the largest difference to numpy, relative to the largest value of the tensor; the order of summation
differs. Host and core still have to agree to the last bit."""


def validate(
    firmware: Firmware,
    x: Array,
    *,
    layer_samples: int = LAYER_SAMPLES,
    on: Where = "emulator",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The JSON of `lilliput validate`: `bit_exact`, and `first_difference` naming sample, layer, tensor and element."""
    x = as_input(firmware.graph, np.asarray(x))
    if len(x) == 0:
        raise UserError("there is no sample to validate with")
    expected = run(firmware.graph, x)
    found = {"host": firmware.run(x, "host"), "core": firmware.run(x, on, progress)}
    difference = None
    for sample in _differing(firmware, expected, found) or range(min(layer_samples, len(x))):
        difference = _first_layer(firmware, x[sample : sample + 1], sample)
        if difference:
            break
    layers = min(layer_samples, len(x))
    exact = difference is None and not _differing(firmware, expected, found)
    result: dict[str, Any] = {
        "samples": len(x),
        "target": firmware.target.name,
        "layers": len(firmware.plan.steps),
        "layer_samples": layers,
        "bit_exact": exact,
        "first_difference": difference,
    }
    if firmware.graph.tensors[firmware.graph.outputs[0]].dtype == "float32":
        result["reference_error"] = float(np.abs(found["host"] - expected).max())
    return result


def _differing(firmware: Firmware, expected: Array, found: dict[str, Array]) -> list[int]:
    """Samples whose outputs differ anywhere, at most three."""
    unequal = ~_agree(found["core"], found["host"], exact=True)
    unequal |= ~_agree(found["host"], expected, exact=not _floats(firmware))
    rows = unequal.reshape(len(expected), -1).any(axis=1)
    return [int(i) for i in np.flatnonzero(rows)[:3]]


def _floats(firmware: Firmware) -> bool:
    """Whether any layer computes in float32: numpy then sums in another order."""
    return any(site.y.dtype == "float32" and site.op.macs(site) for site in firmware.graph.sites()) or any(
        t.dtype == "float32" for t in firmware.graph.tensors.values()
    )


def _agree(a: Array, b: Array, *, exact: bool) -> Array:
    if exact or a.dtype != np.float32:
        return np.asarray((a == b) | ((a != a) & (b != b)))
    bound = FLOAT_BOUND * max(float(np.abs(b).max()), 1e-6)
    return np.asarray(np.abs(a - b) <= bound)


def _first_layer(firmware: Firmware, sample: Array, index: int) -> dict[str, Any] | None:
    """The first layer, in execution order, at which host or core leaves the reference."""
    values = {firmware.graph.inputs[0]: sample}
    reference: dict[str, Array] = {}
    step_through(firmware.graph, values, reference.__setitem__)
    found: list[dict[str, Any]] = []
    host: dict[str, Array] = {}

    def compare(where: str, step: int, name: str, value: Array, wanted: Array, exact: bool) -> None:
        wrong = np.flatnonzero(~_agree(value, wanted, exact=exact).reshape(-1))
        if len(wrong):
            at = int(wrong[0])
            layer = firmware.plan.steps[step]
            found.append(
                {
                    "sample": index,
                    "step": step,
                    "layer": layer.site.name,
                    "op": layer.site.op.name,
                    "kernel": layer.kernel.name,
                    "tensor": name,
                    "where": where,
                    "element": at,
                    "differing": len(wrong),
                    "expected": wanted.reshape(-1)[at].item(),
                    "found": value.reshape(-1)[at].item(),
                }
            )

    def on_host(step: int, name: str, value: Array) -> None:
        host[name] = value
        compare("host", step, name, value, reference[name], value.dtype != np.float32)

    layers_on_host(firmware, values, on_host)
    layers_on_machine(
        firmware,
        firmware.machine,
        values,
        lambda step, name, value: compare("core", step, name, value, host[name], True),
    )
    return min(found, key=lambda d: d["step"]) if found else None
