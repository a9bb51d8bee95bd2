"""The project file `project.toml`: data, preprocessing, model, training, pruning, quantization, target."""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from pathlib import Path

from pydantic import ValidationError

from lilliput.errors import UserError
from lilliput.train.config import (
    AnomalyConfig,
    Augment,
    CompileConfig,
    DataConfig,
    FeaturesConfig,
    ModelConfig,
    PreprocessConfig,
    PruneConfig,
    QuantizeConfig,
    Section,
    TrainConfig,
)


class Project(Section):
    """A whole project; every section may be left out. `prune = None` trains without pruning."""

    name: str = "model"
    data: DataConfig = DataConfig()
    preprocess: PreprocessConfig = PreprocessConfig()
    features: FeaturesConfig | None = None
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    augment: Augment = Augment()
    prune: PruneConfig | None = None
    anomaly: AnomalyConfig | None = None
    quantize: QuantizeConfig = QuantizeConfig()
    compile: CompileConfig = CompileConfig()


SECTIONS: dict[str, type[Section]] = {
    "data": DataConfig,
    "preprocess": PreprocessConfig,
    "features": FeaturesConfig,
    "model": ModelConfig,
    "train": TrainConfig,
    "augment": Augment,
    "prune": PruneConfig,
    "anomaly": AnomalyConfig,
    "quantize": QuantizeConfig,
    "compile": CompileConfig,
}


def load_project(path: Path) -> Project:
    """Read and check a project file; its relative paths become relative to its folder."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; expected a project file, see examples/digits") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); expected a project file in UTF-8") from error
    project = parse_project(text, str(path))
    data = project.data
    moved = {
        key: str(path.parent / value) for key, value in (("path", data.path), ("test", data.test)) if value
    }
    return project.model_copy(update={"data": data.model_copy(update=moved)})


def parse_project(text: str, source: str) -> Project:
    """The project that a TOML text describes; `source` names it in errors."""
    try:
        return Project.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{source}: not valid TOML ({error})") from error
    except ValidationError as error:
        raise UserError("\n".join(_explain(source, issue) for issue in error.errors())) from error


def _explain(source: str, issue: object) -> str:
    """One line for one finding of pydantic, with the nearest known key for an unknown one."""
    assert isinstance(issue, dict)
    where = [str(part) for part in issue["loc"]]
    name = ".".join(where)
    if issue["type"] != "extra_forbidden":
        return f"{source}: {name} is {issue['input']!r}; {issue['msg'][0].lower() + issue['msg'][1:]}"
    section = SECTIONS.get(where[0], Project) if len(where) > 1 else Project
    known = list(section.model_fields)
    close = get_close_matches(where[-1], known, 1)
    place = f"in [{'.'.join(where[:-1])}]" if len(where) > 1 else "at the top"
    hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
    return f"{source}: unknown key {where[-1]!r} {place}; {hint}"
