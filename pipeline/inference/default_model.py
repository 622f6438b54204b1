"""Chooses the generator to use when none is named: the one trained here, else the one that ships."""

from pathlib import Path

from pipeline.core import source_code
from pipeline.core.errors import log

TRAINED = Path("data/train/generator.safetensors")
SHIPPED = source_code.PRETRAINED / "openbiblestories.safetensors"


def default_model() -> Path:
    """Return the file of the generator trained in this project, else the shipped one (logged); the former if neither exists."""
    if TRAINED.exists() or not SHIPPED.exists():
        return TRAINED
    log.info("no generator trained here yet: using %s, an ink-drawing look; train your own with dvc repro train", SHIPPED.name)
    return SHIPPED
