"""The same crops and edge-smoothed copies come out of folders and of shards."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Split
from pipeline.dataset import crop_files, crop_sets
from tests.support.training_world import pack_all


@pytest.mark.parametrize("domain", ["anime", "photo"])
@pytest.mark.parametrize(("split", "at_most"), [("train", None), ("val", 2)])
def test_crops_from_shards_equal_those_from_folders(
    domain: Domain, split: Split, at_most: int | None, data: Path, tmp_path: Path
) -> None:
    pack_all(data, tmp_path / "out")
    rows, whole = crop_sets.load_split(data, domain, split, at_most)
    packed_rows, packed = crop_sets.load_split(data, domain, split, at_most, dataset="out")
    assert packed.digest == whole.digest and torch.equal(packed.pixels, whole.pixels)
    without_files = [[row.model_copy(update={"file": None}) for row in some] for some in (rows, packed_rows)]
    assert without_files[0] == without_files[1] and len(rows) == (at_most or 6)
    if domain == "anime":
        copies, packed_copies = (crop_sets.load_edge_smoothed(data, some) for some in (rows, packed_rows))
        assert packed_copies.digest == copies.digest and torch.equal(packed_copies.pixels, copies.pixels)
        assert not torch.equal(copies.pixels, whole.pixels)


def test_a_folder_without_crops_is_named_with_a_remedy(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing, named by dataset: .* neither crops nor shards: run dvc repro"):
        crop_files.list_crops(tmp_path / "nothing", "anime", "train")


def test_a_changed_picture_is_refused(data: Path, tmp_path: Path) -> None:
    row = crop_files.list_crops(data / "split", "photo", "train")[0]
    assert crop_files.read_crop(row, tmp_path).shape == (row.height_px, row.width_px, 3)
    (tmp_path / str(row.file)).write_bytes(b"other")
    with pytest.raises(UserError, match="has changed since it was listed"):
        crop_files.read_crop(row, tmp_path)
