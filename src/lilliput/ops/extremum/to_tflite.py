"""Maximum and minimum as TensorFlow Lite operators."""

from __future__ import annotations

from lilliput.exporters.registry import to_tflite
from lilliput.exporters.tflite import TfliteWriter
from lilliput.op import Site
from lilliput.ops.extremum.extremum import Extremum, Maximum, Minimum


@to_tflite(Maximum, Minimum)
def extremum(w: TfliteWriter, site: Site) -> None:
    assert isinstance(site.op, Extremum)
    if site.op.clamp is not None:
        raise w.refuse(f"a clamp to {site.op.clamp} in the same operator")
    w.plain("MAXIMUM" if isinstance(site.op, Maximum) else "MINIMUM", site)
