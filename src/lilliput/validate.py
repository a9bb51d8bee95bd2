"""The proof: numpy reference, host C and emulated core agree in every output, and on some samples in every layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lilliput.errors import UserError
from lilliput.evaluate import Samples, Shadow, feeds, outputs, sample_count
from lilliput.firmware import Firmware, Progress, Where
from lilliput.graph import Array, Graph
from lilliput.layers import layers_on_host, layers_on_machine

LAYER_SAMPLES = 4
FLOAT_BOUND = 1e-3
"""Float32 models: the largest difference to numpy, relative to the largest value of the tensor; the order of summation
differs. Host and core still have to agree to the last bit."""


def validate(
    firmware: Firmware,
    x: Samples,
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
    count = sample_count(x)
    if count == 0:
        raise UserError("there is no sample to validate with")
    ends = Ends(
        count, outputs(firmware.graph, x), firmware.outputs(x, "host"), firmware.outputs(x, on, progress)
    )
    samples = list(feeds(firmware.graph, x))
    differing = _differing(firmware, ends)
    difference = None
    for sample in differing or range(min(layer_samples, count)):
        difference = _first_layer(firmware, samples[sample], sample)
        if sample in differing:
            difference = _output_difference(firmware, ends, sample) | (difference or {})
        if difference:
            break
    layers = min(layer_samples, count)
    result: dict[str, Any] = {
        "samples": count,
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

    def unequal(self, name: str, rounded: bool) -> dict[str, Array]:
        """Where -> which elements of an output differ there, one row per sample. `rounded`: see `behind_floats`."""
        host = ~agree(self.host[name], self.reference[name], exact=not rounded)
        core = ~agree(self.core[name], self.host[name], exact=True)
        return {"host": host.reshape(self.samples, -1), "core": core.reshape(self.samples, -1)}


def _differing(firmware: Firmware, ends: Ends) -> list[int]:
    """Samples with a difference anywhere in any output, at most three."""
    rounded = behind_floats(firmware.graph)
    found = [
        unequal.any(axis=1)
        for name in firmware.graph.outputs
        for unequal in ends.unequal(name, name in rounded).values()
    ]
    return [int(i) for i in np.flatnonzero(np.any(found, axis=0))[:3]]


def _output_difference(firmware: Firmware, ends: Ends, sample: int) -> dict[str, Any]:
    """The first output of the model that is wrong for a sample after the whole run."""
    rounded = behind_floats(firmware.graph)
    for name in firmware.graph.outputs:
        for where, unequal in ends.unequal(name, name in rounded).items():
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


def behind_floats(graph: Graph) -> frozenset[str]:
    """Tensors that depend on float32 arithmetic: there numpy may sum in another order, or round e^x differently.

    A later rounding to integers can then fall to either side. Layer by layer nothing of that remains: each layer's
    reference gets what the C's layer got.
    """
    found: set[str] = set()
    for site in graph.sites():
        real = site.y.dtype == "float32" and any(t.dtype == "float32" for t in site.ins if not t.constant)
        if (real and not site.op.view) or any(t.name in found for t in site.ins):
            found.update(t.name for t in site.outs)
    return frozenset(found)


def agree(a: Array, b: Array, *, exact: bool) -> Array:
    """Where values are equal; unless `exact`, float32 ones within FLOAT_BOUND, and integers are not judged."""
    if exact:
        return np.asarray((a == b) | ((a != a) & (b != b)))
    if a.dtype != np.float32:
        return np.ones(a.shape, bool)
    bound = FLOAT_BOUND * max(float(np.abs(b).max()), 1e-6)
    return np.asarray(np.abs(a - b) <= bound)


def _first_layer(firmware: Firmware, values: Mapping[str, Array], index: int) -> dict[str, Any] | None:
    """The first layer, in execution order, at which the host leaves its reference, or the core the host."""
    found: list[dict[str, Any]] = []
    host: dict[str, Array] = {}
    shadow, expected = Shadow(firmware.graph, values), dict[str, Array]()

    def compare(where: str, step: int, name: str, value: Array, wanted: Array, exact: bool) -> None:
        wrong = np.flatnonzero(~agree(value, wanted, exact=exact).reshape(-1))
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
        if name not in expected:
            expected.update(shadow.expect(firmware.plan.steps[step].site))
        compare("host", step, name, value, expected[name], value.dtype != np.float32)
        shadow.set(name, value)
        host[name] = value

    layers_on_host(firmware, values, on_host)
    layers_on_machine(
        firmware,
        firmware.machine,
        values,
        lambda step, name, value: compare("core", step, name, value, host[name], True),
    )
    return min(found, key=lambda d: d["step"]) if found else None
