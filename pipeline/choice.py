"""What stage aim found in the films, where params leave it to them: read by all that follows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.faults import Fault
from pipeline.palette import Grade

Filter = Literal["l0", "cel", "brush", "none"]
FILE = "aim.json"


class Choice(BaseModel):
    """What photos are to become: the content of `FILE`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    filter: Filter
    ink: Annotated[float, Field(ge=0, le=1)]
    grade: Grade


def read(data: Path) -> Choice:
    """The choice of stage aim.

    Raises:
        Fault: data/aim is missing or damaged.
    """
    path = data / "aim" / FILE
    try:
        return Choice.model_validate_json(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise Fault(f"{path} is missing or damaged: delete {path.parent} and run dvc repro") from None
