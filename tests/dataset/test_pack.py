"""Shards: the real WebDataset reads them, equal crops give equal bytes, and errors leave nothing half-written."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.dataset.pack import key_of
from pipeline.media import images
from tests.support import training_world as world
from tests.support.training_world import contents, pack_all


def members(path: Path) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    with tarfile.open(path) as tar:
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            yield member, file.read()


def test_the_real_webdataset_reads_them(data: Path, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own business
        import webdataset

        pack_all(data, tmp_path / "out")
        tars = sorted(str(path) for path in (tmp_path / "out/anime/train").glob("*.tar"))
        assert len(tars) > 1
        samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    rows = manifest.kept(manifest.read(data / "split"), "anime", "train")
    assert [sample["json"]["id"] for sample in samples] == [row.id for row in rows]
    smoothed = {row.id: row for row in manifest.read(data / "edge_smooth/about/anime")}
    for sample, row in zip(samples, rows, strict=True):
        assert np.array_equal(np.asarray(sample["png"]), images.read(tmp_path / str(row.file)))
        assert np.array_equal(np.asarray(sample["edge_smooth.png"]), images.read(tmp_path / str(smoothed[row.id].file)))
        assert {name for name in sample if not name.startswith("__")} == {"png", "edge_smooth.png", "json"}


def test_bytes_do_not_depend_on_user_or_time(data: Path, tmp_path: Path) -> None:
    pack_all(data, tmp_path / "one")
    for path in data.rglob("*.png"):
        path.touch()
    pack_all(data, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    seen = 0
    for path in (tmp_path / "one").rglob("*.tar"):
        for member, content in members(path):
            seen += 1
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname, member.mode) == (0, 0, 0, "", "", 0o644)
            assert re.fullmatch(r"[A-Za-z0-9_-]+\.(json|png|edge_smooth\.png)", member.name)
            assert member.name.endswith("json") == content.startswith(b"{") and b"data/crop" not in content
    assert seen == 9 * 3 + 9 * 2


def test_the_index_counts_and_no_shard_exceeds_its_limit(data: Path, tmp_path: Path) -> None:
    for folder in pack_all(data, tmp_path / "out", shard_mb=0.02):
        index = json.loads((folder / "index.json").read_text())
        domain, split = folder.parent.name, folder.name
        assert (index["domain"], index["split"], index["side_px"]) == (domain, split, world.SIDE)
        assert index["samples"] == (6 if split == "train" else 3) == sum(shard["samples"] for shard in index["shards"])
        for shard in index["shards"]:
            path = folder / shard["file"]
            assert path.stat().st_size == shard["bytes"] <= 0.02e6 + 10240, "tar pads to 10,240 bytes"
            assert sum(member.name.endswith(".json") for member, _ in members(path)) == shard["samples"]


@given(st.lists(st.text(min_size=1, max_size=120), min_size=2, max_size=20, unique=True))
def test_keys_are_safe_and_unique(ids: list[str]) -> None:
    keys = [key_of(name) for name in ids]
    assert len(set(keys)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,97}", key) for key in keys)
    assert key_of("film-00012-3-01") == "film-00012-3-01"


def test_packing_replaces_only_when_asked_and_only_its_own(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack_all(data, out)
    before = contents(out)
    with pytest.raises(UserError, match=r"anime/train exists already: give another folder, or --overwrite"):
        pack_all(data, out, shard_mb=1)
    assert contents(out) == before
    pack_all(data, out, shard_mb=1, overwrite=True)
    assert (out / "anime/train/000000.tar").exists() and not (out / "anime/train/000001.tar").exists()
    shutil.rmtree(out / "photo/val")
    (out / "photo/val").mkdir()
    (out / "photo/val/mine.txt").write_text("holiday")
    with pytest.raises(UserError, match="was not written by genga pack and is not replaced"):
        pack_all(data, out, overwrite=True)
    assert (out / "photo/val/mine.txt").exists()


def test_errors_name_what_is_missing_and_leave_nothing_half_written(data: Path, tmp_path: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(UserError, match=words):
            pack_all(data, tmp_path / "out")
        assert not (tmp_path / "out").exists() and not [p for p in tmp_path.iterdir() if p.name.startswith(".")]

    rows, smoothed = manifest.read(data / "split"), manifest.read(data / "edge_smooth/about/anime")
    manifest.write(data / "edge_smooth/about/anime", smoothed[1:])
    refused(r"data/edge_smooth has no picture for anime-0: run dvc repro")
    manifest.write(data / "edge_smooth/about/anime", smoothed)
    manifest.write_by_domain(data / "split", [row for row in rows if row.domain == "anime"])
    refused(r"lists no photo crops in train: name other splits or domains")
    manifest.write_by_domain(data / "split", rows)
    (tmp_path / "data/crop/pictures/photo/photo-8.png").unlink()
    refused(r"photo-8\.png is missing: run dvc repro")
    shutil.rmtree(data / "split")
    refused(r"data/split/manifest\.jsonl is missing: run dvc repro")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written to"):
        pack_all(world.make_data(tmp_path), tmp_path / "file/out")


def test_png_files_are_packed_as_they_are(data: Path, tmp_path: Path) -> None:
    pack_all(data, tmp_path / "out", shard_mb=1)
    stored = dict((member.name, content) for member, content in members(tmp_path / "out/photo/val/000000.tar"))
    assert stored["photo-7.png"] == (tmp_path / "data/crop/pictures/photo/photo-7.png").read_bytes()
    assert Image.open(io.BytesIO(stored["photo-7.png"])).size == (world.SIDE, world.SIDE)
