"""The proof: numpy reference, host C and emulated core agree in every output, and on some samples in every layer."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lilliput.errors import UserError
from lilliput.evaluate import outputs, step_through
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
    """The JSON of `lilliput validate`: `bit_exact`, and `first_difference` naming sample, layer, tensor and element.

    Where an output of the model is wrong in the end, it names that `output` as well; with no layer, when each layer's
    results were right at first, so that something overwrote them.
    """
    x = firmware.samples(x)
    if len(x) == 0:
        raise UserError("there is no sample to validate with")
    ends = Ends(
        len(x), outputs(firmware.graph, x), firmware.outputs(x, "host"), firmware.outputs(x, on, progress)
    )
    differing = _differing(firmware, ends)
    difference = None
    for sample in differing or range(min(layer_samples, len(x))):
        difference = _first_layer(firmware, x[sample : sample + 1], sample)
        if sample in differing:
            difference = _output_difference(firmware, ends, sample) | (difference or {})
        if difference:
            break
    layers = min(layer_samples, len(x))
    result: dict[str, Any] = {
        "samples": len(x),
        "target": firmware.target.name,
        "layers": len(firmware.plan.steps),
        "layer_samples": layers,
        "bit_exact": difference is None,
        "first_difference": difference,
    }
    real = [name for name in firmware.graph.outputs if firmware.graph.tensors[name].dtype == "float32"]
    if real:
        errors = (np.abs(ends.host[name] - ends.reference[name]).max() for name in real)
        result["reference_error"] = float(max(errors))
    return result


class Ends(NamedTuple):
    """The model's outputs after whole runs by each implementation: name -> array, samples first."""

    samples: int
    reference: dict[str, Array]
    host: dict[str, Array]
    core: dict[str, Array]

    def unequal(self, name: str, floats: bool) -> dict[str, Array]:
        """Where -> which elements of an output differ there, one row per sample."""
        host = ~_agree(self.host[name], self.reference[name], exact=not floats)
        core = ~_agree(self.core[name], self.host[name], exact=True)
        return {"host": host.reshape(self.samples, -1), "core": core.reshape(self.samples, -1)}


def _differing(firmware: Firmware, ends: Ends) -> list[int]:
    """Samples with a difference anywhere in any output, at most three."""
    floats = _floats(firmware)
    found = [
        unequal.any(axis=1)
        for name in firmware.graph.outputs
        for unequal in ends.unequal(name, floats).values()
    ]
    return [int(i) for i in np.flatnonzero(np.any(found, axis=0))[:3]]


def _output_difference(firmware: Firmware, ends: Ends, sample: int) -> dict[str, Any]:
    """The first output of the model that is wrong for a sample after the whole run."""
    for name in firmware.graph.outputs:
        for where, unequal in ends.unequal(name, _floats(firmware)).items():
            wrong = np.flatnonzero(unequal[sample])
            if len(wrong):
                pair = (ends.reference, ends.host) if where == "host" else (ends.host, ends.core)
                at = int(wrong[0])
                expected, found = (
                    values[name].reshape(ends.samples, -1)[sample, at].item() for values in pair
                )
                return {
                    "output": name,
                    "sample": sample,
                    "tensor": name,
                    "where": where,
                    "element": at,
                    "differing": len(wrong),
                    "expected": expected,
                    "found": found,
                }
    return {}


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
