"""The style profile that stage `style_profile` found in the films: filter, line strength, color transform."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.errors import UserError
from pipeline.filters.color_transfer import ColorTransform

Filter = Literal["l0", "abstraction", "kuwahara", "none"]
FILE = "style_profile.json"


class StyleProfile(BaseModel):
    """What photos are to become: the content of `FILE`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    filter: Filter
    line_strength: Annotated[float, Field(ge=0, le=1)]
    color_transform: ColorTransform


def read(data: Path) -> StyleProfile:
    """Read the style profile.

    Raises:
        UserError: data/style_profile is missing or damaged.
    """
    path = data / "style_profile" / FILE
    try:
        return StyleProfile.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{path} is missing or damaged: delete {path.parent} and run dvc repro") from None
