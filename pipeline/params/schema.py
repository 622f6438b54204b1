"""The whole of params.yaml, the only control panel: read once, checked once, all errors reported together.

Each section is a strict model: an unknown key, a wrong type or a number out of range is refused, with its key. Values live in
params.yaml and nowhere else, so no field has a default. Sections have no methods: what a stage makes depends on values alone,
which DVC compares by key, so the code of this folder is no dependency of a stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import UserError
from pipeline.core.text import printable
from pipeline.params import renamed
from pipeline.params.data import (
    CropParams,
    DedupParams,
    EdgeSmoothParams,
    KeyframesParams,
    ReportParams,
    SampleParams,
    SplitParams,
)
from pipeline.params.networks import ModelParams, PerceptualParams
from pipeline.params.results import EvaluateParams, ExportParams, PredictParams
from pipeline.params.section import Section, SourceName
from pipeline.params.training import LossParams, PretrainParams, TrainParams

PARAMS_FILE = Path("params.yaml")
_MAX_BYTES, _MAX_VALUES = 1_000_000, 20_000
_SAMPLE = Path("data/sample")
PHOTOS = "photos"  # the source name of the photographs; films and footage have their own


class Params(Section):
    """The whole of params.yaml."""

    films: dict[SourceName, str] = Field(
        description="what style is learned from: name -> film file, folder of episodes, or folder of drawings (each a shot of "
        "one frame). Subtitles, logos and titles are looked for in films only",
    )
    footage: dict[SourceName, str] = Field(
        description="films of the real world whose frames serve as photos: name -> film file, folder of films, or folder of "
        "pictures"
    )
    photos: str = Field(description="folder of photos, searched recursively; may be empty if there is footage")
    dataset: str = Field(
        description="what is trained and evaluated on: data/split, the crops made here, or a folder of shards (genga pack)"
    )
    teacher: str = Field(
        description="the trained generator that target teacher refers to: a .safetensors file, or a folder that holds one; may "
        "be an empty folder"
    )
    workers: Annotated[int, Field(ge=0, le=1024)] = Field(
        description="processes of the data stages; 0: one per core. Results do not depend on it"
    )
    sample: SampleParams
    keyframes: KeyframesParams
    dedup: DedupParams
    crop: CropParams
    edge_smooth: EdgeSmoothParams
    split: SplitParams
    report: ReportParams
    model: ModelParams
    perceptual: PerceptualParams
    pretrain: PretrainParams
    train: TrainParams
    loss: LossParams
    evaluate: EvaluateParams
    predict: PredictParams
    export: ExportParams

    @model_validator(mode="after")
    def _sections_agree(self) -> Params:
        both = sorted(self.films.keys() & self.footage.keys())
        if both:
            raise ValueError(f"films and footage share the name {both[0]}: rename one of them")
        if PHOTOS in self.films.keys() | self.footage.keys():
            raise ValueError(f"a film or footage is called {PHOTOS}, which is the name of the photos: rename it")
        for name, crop_px in (("pretrain", self.pretrain.crop_px), ("train", self.train.crop_px)):
            if crop_px > self.crop.size_px:
                raise ValueError(f"{name}.crop_px ({crop_px}) must not exceed crop.size_px ({self.crop.size_px})")
        return self


def is_sample(path: str) -> bool:
    """Whether a source lies in the folder of the embedded film and its photographs, which stage sample makes."""
    return Path(path).is_relative_to(_SAMPLE)


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check a params file.

    Raises:
        UserError: the file is missing, is not YAML, or has errors; all of them are listed, each with its key.
    """
    tree = read_yaml(YAML(typ="safe", pure=True), path)
    return check(tree, str(path))


def read_yaml(yaml: YAML, path: Path) -> Any:
    """Read a YAML file of the size of parameters or a recipe.

    Raises:
        UserError: the file is missing, is not YAML, or is made to fill memory or stack.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise UserError(f"{path} is larger than {_MAX_BYTES:,} bytes: it is no file of parameters")
        tree = yaml.load(path.read_text("utf-8"))
        if _count_values(tree) > _MAX_VALUES:
            raise UserError(f"{path} has more than {_MAX_VALUES:,} values, aliases counted as often as they are used")
    except RecursionError:
        raise UserError(f"{path} is nested too deep, or holds itself: it is no file of parameters") from None
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's folder, or restore it with git checkout {path}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    return tree


def _count_values(tree: Any) -> int:
    """Count the values of a tree with aliases written out, without writing them out. A tree that holds itself never ends."""
    counts = dict[int, int]()

    def count(value: Any) -> int:
        if not isinstance(value, dict | list):
            return 1
        if id(value) not in counts:
            counts[id(value)] = 1 + sum(map(count, value.values() if isinstance(value, dict) else value))
        return counts[id(value)]

    return count(tree)


def check(tree: Any, origin: str = "params") -> Params:
    """Check a tree of plain values as Params; `origin` names it in the message of the UserError."""
    tree, errors = renamed.update_names(tree)
    try:
        params = Params.model_validate(tree)
        if not errors:
            return params
    except ValidationError as invalid:
        errors += [_describe(error) for error in invalid.errors(include_url=False)]
    raise UserError(list_errors(origin, errors))


def list_errors(origin: str, errors: Sequence[str]) -> str:
    """Compose the message for a person from all errors found in one file."""
    return f"{origin}: {len(errors)} error{'s' if len(errors) > 1 else ''}\n  " + "\n  ".join(errors)


def _describe(error: Any) -> str:
    """Describe one of pydantic's errors in a line that begins with the dotted key."""
    key = ".".join(printable(str(part), 100) for part in error["loc"]) or "(whole file)"
    if error["type"] == "missing":
        return f"{key}: missing; add it (params.yaml in git shows a value)"
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key; remove it or correct its spelling"
    text = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "value_error":
        return f"{key}: {text}" if error["loc"] else text
    return f"{key}: {text[0].lower() + text[1:]}, got {printable(repr(error.get('input')), 200)}"
