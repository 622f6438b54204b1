"""What tests of the dataset folder share."""

from pathlib import Path

import pytest

from pipeline.core import manifest
from tests.support import training_world as world


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Data in which one crop's id may appear neither in a tar nor in a WebDataset key."""
    made = world.make_data(tmp_path)
    for stage in ("split", "edge_smooth/about/anime"):
        rows = manifest.read(made / stage)
        write = manifest.write_by_domain if stage == "split" else manifest.write
        write(made / stage, [row.model_copy(update={"id": "夏 v1.5/é"}) if row.id == "anime-2" else row for row in rows])
    return made
