"""The style profile: which filter, line strength and color transform stage `style_profile` chose for the films."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.core.errors import UserError
from pipeline.core.text import repro_command
from pipeline.filters.color_transfer import ColorTransform

FilterName = Literal["l0", "abstraction", "kuwahara", "none"]
FILE = "style_profile.json"


class StyleProfile(BaseModel):
    """How photos are turned into pseudo-targets: the content of style_profile.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    filter: FilterName
    line_strength: Annotated[float, Field(ge=0, le=1)]
    color_transform: ColorTransform


def read_profile(data: Path) -> StyleProfile:
    """Read data/style_profile/style_profile.json.

    Raises:
        UserError: it is missing or damaged.
    """
    path = data / "style_profile" / FILE
    try:
        return StyleProfile.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise UserError(f"{path} is missing or damaged: delete {path.parent} and run {repro_command(path)}") from None
