"""The sections of a project file, checked once when they are read; frozen, and used as they are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Statistic = Literal["mean", "std", "min", "max", "mean_abs_diff", "energy", "change"]
Loss = Literal["cross-entropy", "mse", "bce", "huber"]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values cannot be changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Section):
    """Where the samples are and how they are split; `path` is relative to the project file.

    `test` names the test table of a csv. Data without a test part give `test_fraction` of themselves to it, and those
    without a validation part (an npz may have one: x_validation and y_validation) the fraction `validation`.
    """

    format: Literal["digits", "idx", "folder", "npz", "csv"] = "digits"
    path: str = ""
    test: str = ""
    target: str = ""
    validation: Fraction = 0.1
    test_fraction: Fraction = 0.2
    seed: int = 0
    skip_bad: bool = False


class PreprocessConfig(Section):
    """Size of pictures from a folder, and mean and deviation of the samples (measured when not given)."""

    height: Count | None = None
    width: Count | None = None
    channels: Literal[1, 3] = 3
    mean: float | list[float] | None = None
    std: Positive | list[Positive] | None = None


class FeaturesConfig(Section):
    """Statistics over time of windows [T, channels], which the device computes too: the model sees these alone."""

    statistics: Annotated[list[Statistic], Field(min_length=1)]


class ModelConfig(Section):
    """A family of the zoo or of classical models, and the options of its constructor."""

    family: str = "mobilenet_v2"
    options: dict[str, object] = {}


class TrainConfig(Section):
    """How a model is trained. The schedule scales `learning_rate`; `warmup` is the share of steps it rises.

    `class_weights` is "balanced" (each class counts alike) or one weight per class. With `patience` above 0,
    training stops after so many epochs without a lower validation loss and the best weights are kept.
    `metric` is what the finished model is judged by: accuracy (mean absolute error of numbers), or the area under the
    ROC curve of two classes. Of all these, classical models take `seed`, `metric`, and `loss` for numbers in a csv.
    """

    epochs: Count = 20
    batch_size: Count = 128
    loss: Loss = "cross-entropy"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    class_weights: Literal["none", "balanced"] | list[Positive] = "none"
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Positive = 0.1
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: NotNegative = 5e-4
    schedule: Literal["constant", "cosine", "onecycle", "step"] = "onecycle"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.3
    step_epochs: Count = 10
    step_factor: Fraction = 0.1
    patience: Annotated[int, Field(ge=0)] = 0
    seed: int = 0
    metric: Literal["auto", "roc-auc"] = "auto"
    tensorboard: str = ""


class Augment(Section):
    """How far a training image may move; every field is a maximum, drawn uniformly per image, and 0 is off.

    `rotate` and `shear` are degrees, `shift` and `elastic` are pixels (`elastic` is the standard deviation of
    a smooth displacement whose control points are about `elastic_cell` pixels apart), `scale` is relative
    (0.1: 0.9 to 1.1), `noise` is a standard deviation in preprocessed units, `flip` mirrors half of the
    images left to right.
    """

    rotate: NotNegative = 0.0
    shift: NotNegative = 0.0
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.0
    shear: Annotated[float, Field(ge=0, lt=90)] = 0.0
    elastic: NotNegative = 0.0
    elastic_cell: Positive = 7.0
    noise: NotNegative = 0.0
    flip: bool = False

    @property
    def warps(self) -> bool:
        """Whether pixels move at all."""
        return bool(self.rotate or self.shift or self.scale or self.shear or self.elastic or self.flip)


class PruneConfig(Section):
    """Which share of the channels goes, and the training after it (the rest is as in `[train]`).

    Channel counts become multiples of `round_to`: the C kernels compute four output channels at a time.
    """

    fraction: Fraction = 1 / 3
    round_to: Count = 4
    importance: Literal["magnitude", "bn-scale", "taylor"] = "magnitude"
    epochs: Count = 10
    learning_rate: Positive | None = None


class AnomalyConfig(Section):
    """The model learns class 0 alone, what is normal, and scores how far a sample is from it.

    The alarm is raised above the score that the share `false_alarms` of the validation samples, all normal, exceeds.
    """

    false_alarms: Fraction = 0.01


class QuantizeConfig(Section):
    """How ranges of activations are found, and on how many training samples.

    "auto" takes the method that does best on validation samples; "none" keeps float32, and so does "auto" for trees,
    which compare and add up exactly as they are. With `float_io` the device takes and gives float32: the default where
    mean and deviation of features, or statistics over time, are computed on the device.
    """

    method: Literal["auto", "minmax", "percentile", "mse", "none"] = "auto"
    samples: Count = 500
    float_io: bool | None = None


class CompileConfig(Section):
    """What the model is compiled for."""

    target: str = "cortex-m4"
    name: str = "model"
