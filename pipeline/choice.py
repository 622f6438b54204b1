"""What stage aim found in the films, where params leave it to them: read by all that follows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.faults import Fault
from pipeline.palette import Grade
from pipeline.params import Params

Filter = Literal["l0", "brush", "none"]
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


def fills(params: Params, data: Path) -> int | None:
    """How often the generator lets colours run: as params say, or as suits what the films want photos to become.

    Fills make areas flat and smear brushwork (docs/log.md, Fills and brushwork). None is the row's own.

    Raises:
        Fault: data/aim is missing or damaged.
    """
    wanted = params.model.generator_fills
    if wanted != "film":
        return wanted
    return None if read(data).filter == "l0" else 0
