"""Loading a model, whatever it comes from, as a simplified graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lilliput.errors import GraphError, UserError
from lilliput.graph import Array, Graph, Shape
from lilliput.passes import simplify

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Options:
    """What a file may leave open: shapes of inputs, values of inputs that become constants, weights in other files."""

    shapes: Mapping[str, Shape] = field(default_factory=dict)
    constants: Mapping[str, Array] = field(default_factory=dict)
    external_data: bool = False


def load(
    source: torch.nn.Module | Path | str | Any,
    example: torch.Tensor | Array | tuple[torch.Tensor | Array, ...] | None = None,
    *,
    shapes: Mapping[str, Shape] | None = None,
    constants: Mapping[str, Array] | None = None,
    external_data: bool = False,
) -> Graph:
    """The graph of a torch module (with one `example` input, batch 1, or a tuple of all), of a Keras model, of a fitted
    estimator, or of a file.

    Estimators are those of scikit-learn, XGBoost and LightGBM; files are .lil, .tflite, .onnx, .keras and .skops.

    For ONNX, `shapes` says what the file leaves open, `constants` fixes inputs, and `external_data` admits weights in
    other files of the model's folder.
    """
    if not isinstance(source, str | Path):
        if _is_keras(source):
            from lilliput.importers.keras import load_keras

            return simplify(load_keras(source, shapes=shapes))
        if _is_estimator(source):
            from lilliput.importers.sklearn import load_sklearn

            return simplify(load_sklearn(source))
        from lilliput.importers.torch import load_torch

        if example is None:
            raise UserError("a torch module needs an example input: load(module, torch.zeros(1, 1, 28, 28))")
        return simplify(load_torch(source, example))
    path = Path(source)
    reader = READERS.get(path.suffix.lower())
    if path.suffix.lower() in OTHERS:
        raise UserError(f"'{path}' {OTHERS[path.suffix.lower()]}")
    if reader is None:
        found = f"the ending '{path.suffix}'" if path.suffix else "no ending"
        raise UserError(f"'{path}' has {found}; models are read from {', '.join(READERS)} files")
    if not path.exists():
        raise UserError(f"'{path}' does not exist")
    try:
        return simplify(reader(path, Options(shapes or {}, constants or {}, external_data)))
    except (UserError, GraphError) as error:
        raise UserError(str(error) if str(path) in str(error) else f"'{path}': {error}") from error


def _lil(path: Path, options: Options) -> Graph:
    from lilliput import store

    return store.load(path)


def _tflite(path: Path, options: Options) -> Graph:
    from lilliput.importers.tflite import load_tflite

    return load_tflite(path)


def _onnx(path: Path, options: Options) -> Graph:
    from lilliput.importers.onnx import load_onnx

    return load_onnx(
        path, shapes=options.shapes, constants=options.constants, external_data=options.external_data
    )


def _keras(path: Path, options: Options) -> Graph:
    from lilliput.importers.keras import load_keras

    return load_keras(path, shapes=options.shapes)


def _skops(path: Path, options: Options) -> Graph:
    from lilliput.importers.sklearn.skops_file import load_skops

    return load_skops(path)


READERS: dict[str, Callable[[Path, Options], Graph]] = {
    ".lil": _lil,
    ".tflite": _tflite,
    ".onnx": _onnx,
    ".keras": _keras,
    ".skops": _skops,
}
_PICKLE = (
    "is a pickle, which may run any program when it is read. Where the model was fitted, save it with "
    "skops.io.dump(model, 'model.skops') or as ONNX, and load that"
)
_TORCH = (
    "is torch's own format, in general a pickle, which may run any program when it is read, and it may hold weights "
    "without a model. Build the module in Python and call lilliput.load(module, example) or "
    "torch.onnx.export(module, (example,), 'model.onnx')"
)
_KERAS = "is Keras's older format. In Keras load it and save it again: model.save('model.keras')"
_TENSORFLOW = "is TensorFlow's own format. Convert it with tf.lite.TFLiteConverter to a .tflite file"
OTHERS: dict[str, str] = {
    **dict.fromkeys((".pkl", ".pickle", ".joblib", ".dill"), _PICKLE),
    **dict.fromkeys((".pt", ".pth", ".pt2", ".ckpt", ".torch"), _TORCH),
    **dict.fromkeys((".h5", ".hdf5"), _KERAS),
    **dict.fromkeys((".pb", ".pbtxt"), _TENSORFLOW),
    ".safetensors": "holds weights without a model. Build the module in Python, load them into it, and call "
    "lilliput.load(module, example)",
    ".json": "is not a model that is read. XGBoost: load it into xgboost.Booster() and call lilliput.load(booster)",
    ".ubj": "is XGBoost's own format. Load it into xgboost.Booster() and call lilliput.load(booster)",
    ".txt": "is not a model that is read. LightGBM: call lilliput.load(lightgbm.Booster(model_file='model.txt'))",
}
"""Files that are models elsewhere: what to do with them."""


def _is_keras(source: object) -> bool:
    """Whether this is a model of Keras, which is a torch module too with its torch backend."""
    return any(c.__module__.split(".")[0] == "keras" for c in type(source).__mro__)


def _is_estimator(source: object) -> bool:
    """Whether this is an object of scikit-learn, XGBoost or LightGBM, or has their interface; torch modules are not."""
    package = type(source).__module__.split(".")[0]
    return package in ("sklearn", "xgboost", "lightgbm") or hasattr(source, "get_params")
