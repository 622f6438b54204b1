"""The whole of params.yaml, the only control panel: read once, checked once, every fault reported together.

A section is a strict model: an unknown key, a wrong type or a number out of range is refused, with its key. Values live in
params.yaml and nowhere else, so no field has a default. No section has methods: what a stage makes depends on values alone,
which DVC follows by key, so the code of this folder is no dependency of a stage.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import UserError
from pipeline.params.data import (
    CropParams,
    DedupParams,
    EdgeSmoothParams,
    KeyframesParams,
    PseudoTargetParams,
    ReportParams,
    SampleParams,
    SplitParams,
)
from pipeline.params.networks import ModelParams, PerceptualParams
from pipeline.params.results import EvaluateParams, ExportParams, PredictParams
from pipeline.params.section import Section, SourceName
from pipeline.params.training import EngineParams, LossParams, PretrainParams, TrainParams

PARAMS_FILE = Path("params.yaml")
PHOTOS = "photos"  # the name of the photographs where films and footage go by theirs


class Params(Section):
    """The whole of params.yaml."""

    films: dict[SourceName, str] = Field(
        min_length=1, description="the looks to learn: name -> film file, or a folder of episodes"
    )
    footage: dict[SourceName, str] = Field(
        description="films of the real world whose frames serve as photographs: name -> file or folder"
    )
    photos: str = Field(description="folder of photographs, searched whole; may be empty where footage gives enough")
    dataset: str = Field(
        description="what to learn from: the folder of a manifest of crops (data/split), or one of shards (genga pack)"
    )
    teacher: str = Field(
        description="whose pictures a target called teacher means: the .safetensors file of a trained generator, or a folder "
        "that holds one; may be an empty folder where no target asks for it"
    )
    workers: Annotated[int, Field(ge=0)] = Field(
        description="processes for the data stages; 0 is one a core. Changes nothing in what comes out"
    )
    sample: SampleParams
    keyframes: KeyframesParams
    dedup: DedupParams
    crop: CropParams
    edge_smooth: EdgeSmoothParams
    pseudo_targets: PseudoTargetParams
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
            raise ValueError(f"films and footage share the name {both[0]}: give one of them another name")
        if PHOTOS in self.films.keys() | self.footage.keys():
            raise ValueError(f"films and footage must not be called {PHOTOS}, which is the name of the photographs: rename it")
        for name, target in (("pretrain", self.pretrain.target), ("loss", self.loss.target)):
            if target == "pseudo_target" and self.pseudo_targets.filter == "none":
                raise ValueError(
                    f"{name}.target is pseudo_target, but pseudo_targets.filter is none: name one, or aim at the photo"
                )
        for name in ("pretrain", "train"):
            section: EngineParams = getattr(self, name)
            if section.crop_px > self.crop.size_px:
                raise ValueError(f"{name}.crop_px ({section.crop_px}) must not exceed crop.size_px ({self.crop.size_px})")
        return self


def load(path: Path = PARAMS_FILE) -> Params:
    """Read and check a params file.

    Raises:
        UserError: the file is missing, is not YAML, or holds faults; all of them are listed, each with its key.
    """
    try:
        tree = YAML(typ="safe", pure=True).load(path.read_text("utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project's folder, or restore it with git checkout {path}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    return check(tree, str(path))


def check(tree: Any, origin: str = "params") -> Params:
    """Check a tree of plain values as Params; `origin` names it in the message of the UserError."""
    try:
        return Params.model_validate(tree)
    except ValidationError as error:
        lines = [_describe(fault) for fault in error.errors(include_url=False)]
        raise UserError(f"{origin}: {len(lines)} fault{'s' if len(lines) > 1 else ''}\n  " + "\n  ".join(lines)) from None


def _describe(fault: Any) -> str:
    key = ".".join(str(part) for part in fault["loc"]) or "(whole file)"
    kind, got = fault["type"], fault.get("input")
    if kind == "missing":
        return f"{key}: missing; add it (params.yaml in git shows a value)"
    if kind == "extra_forbidden":
        return f"{key}: unknown key; remove it or mend its spelling"
    text = str(fault["msg"]).removeprefix("Value error, ")
    if kind == "value_error":
        return f"{key}: {text}" if fault["loc"] else text
    return f"{key}: {text[0].lower() + text[1:]}, got {got!r}"
