"""The verb that writes other tools' formats: export."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lilliput.cli.build import (
    ActivationType,
    CalibrationFile,
    CalibrationMethod,
    ExternalData,
    IoType,
    Json,
    ModelFile,
    Shapes,
    WeightType,
    calibrated,
    read_model,
)


class Format(StrEnum):
    tflite = "tflite"
    onnx = "onnx"


def export(
    model: ModelFile,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")],
    format: Annotated[
        Format | None, typer.Option(help="Default: what FILE's ending says.", show_default=False)
    ] = None,
    calibration: CalibrationFile = None,
    calibration_method: CalibrationMethod = None,
    io: IoType = None,
    activations: ActivationType = None,
    weights: WeightType = None,
    shape: Shapes = None,
    external_data: ExternalData = False,
    json: Json = False,
) -> None:
    """Write a model as .tflite or .onnx for other tools."""
    from lilliput.cli.support import check_place, print_json, show
    from lilliput.errors import UserError
    from lilliput.exporters import FORMATS
    from lilliput.files import write_bytes
    from lilliput.report import units

    check_place(output, "--output")
    ending = output.suffix.lower().removeprefix(".")
    chosen = format.value if format else ending
    if chosen not in FORMATS:
        found = f"ends in '.{ending}'" if ending else "has no ending"
        raise UserError(f"--output '{output}' {found}; give --format {' or '.join(FORMATS)}")
    graph = read_model(model, shape, external_data)
    graph = calibrated(graph, calibration, calibration_method, io, activations, weights)
    data = FORMATS[chosen](graph)
    write_bytes(output, data)
    facts = {"output": str(output), "format": chosen, "bytes": len(data), "operators": len(graph.nodes)}
    if json:
        print_json(facts)
    else:
        show(f"{len(graph.nodes)} operators, {units.size(len(data))}, in {output}")
