"""Crops are loaded in order, into memory or a mapped file that is reused; errors name a remedy."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.dataset import crop_files, crop_sets
from pipeline.media import images
from tests.support import training_world as world
from tests.support.random_crops import random_crops


def make_data(project: Path, count: int = 3, side: int = 12) -> Path:
    """Make a data folder of `count` anime and photo crops in train, and inverted ones as the anime's edge-smoothed copies."""
    rows, paired = [], []
    for domain in ("anime", "photo"):
        for index, pixels in enumerate(random_crops(count, side, seed=5).pixels.numpy()):
            row = Row.model_validate(
                {
                    "id": f"{domain}-{index}",
                    "domain": domain,
                    "source": domain,
                    "file": f"data/crop/{domain}/{domain}-{index}.png",
                    "width_px": side,
                    "height_px": side,
                    "split": "train",
                }
            )
            (project / str(row.file)).parent.mkdir(parents=True, exist_ok=True)
            images.write(project / str(row.file), pixels)
            rows.append(row)
            if domain == "anime":
                paired.append(row.model_copy(update={"file": f"data/edge_smooth/pictures/anime/{row.id}.png"}))
                (project / "data/edge_smooth/pictures/anime").mkdir(parents=True, exist_ok=True)
                images.write(project / str(paired[-1].file), 255 - pixels)
    (project / "data/split").mkdir()
    manifest.write_by_domain(project / "data/split", rows)
    (project / "data/edge_smooth/about/anime").mkdir(parents=True)
    manifest.write(project / "data/edge_smooth/about/anime", paired)
    return project / "data"


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A work folder of the test's own, and no room in memory."""
    for folder in world.enter(tmp_path, monkeypatch):
        monkeypatch.setattr(crop_sets, "HOST_SHARE", 0.0)
        yield folder


def test_crops_and_edge_smoothed_copies_are_loaded_in_order(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    rows, photos = crop_sets.load_split(data, "photo", "train")
    assert [row.id for row in rows] == ["photo-0", "photo-1", "photo-2"] and photos.side_px == 12
    assert torch.equal(photos.pixels, random_crops(3, seed=5).pixels)
    rows, anime = crop_sets.load_split(data, "anime", "train")
    assert torch.equal(crop_sets.load_edge_smoothed(data, rows).pixels, 255 - anime.pixels)


def test_a_few_are_spread_evenly(tmp_path: Path) -> None:
    rows, _ = crop_sets.load_split(make_data(tmp_path, count=9), "photo", "train", at_most=3)
    assert [row.id for row in rows] == ["photo-0", "photo-3", "photo-6"]


def test_digest_follows_pixels_and_not_files(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    before = crop_sets.load_split(data, "photo", "train")[1].digest
    file = tmp_path / "data/crop/photo/photo-1.png"
    picture = images.read(file)
    file.unlink()
    images.write(file, picture)
    assert crop_sets.load_split(data, "photo", "train")[1].digest == before
    picture[0, 0, 0] ^= 1
    images.write(file, picture)
    assert crop_sets.load_split(data, "photo", "train")[1].digest != before


def test_an_empty_split_says_what_to_do(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    with pytest.raises(UserError, match=r"no photo crops in val: .*raise split\.val"):
        crop_sets.load_split(data, "photo", "val")
    manifest.write_by_domain(data / "split", [])
    with pytest.raises(UserError, match=r"no anime crops in train: name more films .*lower split\.val"):
        crop_sets.load_split(data, "anime", "train")


def test_missing_and_misshapen_pictures_are_reported(tmp_path: Path) -> None:
    data = make_data(tmp_path)
    rows, _ = crop_sets.load_split(data, "anime", "train")
    (tmp_path / "data/edge_smooth/pictures/anime/anime-2.png").unlink()
    with pytest.raises(UserError, match=r"anime-2\.png does not exist"):
        crop_sets.load_edge_smoothed(data, rows)
    manifest.write(data / "edge_smooth/about/anime", [])
    with pytest.raises(UserError, match=r"data/edge_smooth has no picture for anime-0 \(3 missing\): run dvc repro"):
        crop_sets.load_edge_smoothed(data, rows)
    images.write(tmp_path / "data/crop/photo/photo-1.png", np.zeros((12, 9, 3), np.uint8))
    with pytest.raises(UserError, match=r"photo-1\.png is 9x12, not 12x12: .*dvc repro"):
        crop_sets.load_split(data, "photo", "train")
    (tmp_path / "data/crop/anime/anime-2.png").unlink()
    with pytest.raises(UserError, match=r"anime-2\.png does not exist"):
        crop_sets.load_split(data, "anime", "train")


def test_a_mapped_file_is_reused_until_a_crop_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    data = world.make_data(tmp_path)
    _, first = crop_sets.load_split(data, "photo", "train")
    (file,) = (work / "crops").iterdir()
    made = file.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(crop_files, "read_crop", lambda row, project: pytest.fail("decoded again"))
        _, again = crop_sets.load_split(data, "photo", "train")
    assert file.stat().st_mtime_ns == made and first.digest == again.digest and torch.equal(first.pixels, again.pixels)
    assert first.pixels.numpy().tobytes() == file.read_bytes()

    world.redraw(data, "photo-1", 255 - images.read(tmp_path / "data/crop/pictures/photo/photo-1.png"))
    _, changed = crop_sets.load_split(data, "photo", "train")
    assert changed.digest != first.digest and torch.equal(changed.pixels[1], 255 - first.pixels[1])


def test_a_failed_load_leaves_no_mapped_file(tmp_path: Path, work: Path) -> None:
    data = world.make_data(tmp_path)
    (tmp_path / "data/crop/pictures/photo/photo-4.png").write_bytes(b"text")
    with pytest.raises(UserError, match=r"photo-4\.png has changed since it was listed: run dvc repro"):
        crop_sets.load_split(data, "photo", "train")
    assert not list((work / "crops").iterdir())


def test_a_full_disk_is_reported_before_anything_is_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: Path) -> None:
    data = world.make_data(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match=r"6 crops are too many for memory .* make room, or set GENGA_WORK"):
        crop_sets.load_split(data, "photo", "train")
