"""Shards: the real WebDataset reads them, equal crops give equal bytes, and training from them gives the same weights."""

from __future__ import annotations

import io
import json
import re
import shutil
import tarfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain, Split
from pipeline.dataset import loader, shards
from pipeline.media import images
from pipeline.training import gan_step
from tests.support import training_world as world

SPLITS: list[Split] = ["train", "val"]
DOMAINS: list[Domain] = ["anime", "photo"]


def pack(data: Path, out: Path, shard_mb: float = 0.01, overwrite: bool = False) -> list[Path]:
    """Both splits and domains; so small a shard that train takes several."""
    return shards.pack(data, out, SPLITS, DOMAINS, shard_mb, overwrite)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Data of which one crop has a name that no tar or WebDataset key may have."""
    made = world.make_data(tmp_path)
    for stage in ("split", "edge_smooth/about/anime"):
        rows = manifest.read(made / stage)
        write = manifest.write_by_domain if stage == "split" else manifest.write
        write(made / stage, [r.model_copy(update={"id": "夏 v1.5/é"}) if r.id == "anime-2" else r for r in rows])
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


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

        pack(data, tmp_path / "out")
        tars = sorted(str(path) for path in (tmp_path / "out/anime/train").glob("*.tar"))
        assert len(tars) > 1
        samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    rows = manifest.kept(manifest.read(data / "split"), "anime", "train")
    assert [sample["json"]["id"] for sample in samples] == [row.id for row in rows]
    twins = {row.id: row for row in manifest.read(data / "edge_smooth/about/anime")}
    for sample, row in zip(samples, rows, strict=True):
        assert np.array_equal(np.asarray(sample["png"]), images.read(tmp_path / str(row.file)))
        assert np.array_equal(np.asarray(sample["edge_smooth.png"]), images.read(tmp_path / str(twins[row.id].file)))
        assert {name for name in sample if not name.startswith("__")} == {"png", "edge_smooth.png", "json"}


def test_bytes_are_the_same_whoever_packs_whenever(data: Path, tmp_path: Path) -> None:
    pack(data, tmp_path / "one")
    for path in data.rglob("*.png"):
        path.touch()
    pack(data, tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    seen = 0
    for path in (tmp_path / "one").rglob("*.tar"):
        for member, content in members(path):
            seen += 1
            assert (member.mtime, member.uid, member.gid, member.uname, member.gname, member.mode) == (0, 0, 0, "", "", 0o644)
            assert re.fullmatch(r"[A-Za-z0-9_-]+\.(json|png|(?:edge_smooth|pseudo_targets)\.png)", member.name)
            assert member.name.endswith("json") == content.startswith(b"{") and b"data/crop" not in content
    assert seen == 2 * 9 * 3


def test_the_index_counts_and_no_shard_outgrows_its_limit(data: Path, tmp_path: Path) -> None:
    for folder in pack(data, tmp_path / "out", shard_mb=0.02):
        index = json.loads((folder / "index.json").read_text())
        domain, split = folder.parent.name, folder.name
        assert (index["domain"], index["split"], index["side_px"]) == (domain, split, world.SIDE)
        assert index["samples"] == (6 if split == "train" else 3) == sum(shard["samples"] for shard in index["shards"])
        for shard in index["shards"]:
            path = folder / shard["file"]
            assert path.stat().st_size == shard["bytes"] <= 0.02e6 + 10240, "tar pads to 10,240 bytes"
            assert sum(member.name.endswith(".json") for member, _ in members(path)) == shard["samples"]


@given(st.lists(st.text(min_size=1, max_size=120), min_size=2, max_size=20, unique=True))
def test_keys_are_safe_and_tell_ids_apart(ids: list[str]) -> None:
    keys = [shards.key_of(name) for name in ids]
    assert len(set(keys)) == len(ids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,97}", key) for key in keys)
    assert shards.key_of("film-00012-3-01") == "film-00012-3-01"


def test_squares_from_shards_are_those_from_folders(data: Path, tmp_path: Path) -> None:
    pack(data, tmp_path / "out")
    for domain in DOMAINS:
        for split, at_most in (("train", None), ("val", 2)):
            rows, whole = loader.load_split(data, domain, split, at_most)  # type: ignore[arg-type]
            packed_rows, packed = loader.load_split(data, domain, split, at_most, listed="out")  # type: ignore[arg-type]
            assert packed.digest == whole.digest and torch.equal(packed.pixels, whole.pixels)
            assert [row.model_copy(update={"file": None}) for row in rows] == [
                row.model_copy(update={"file": None}) for row in packed_rows
            ]
            made_by: Literal["edge_smooth", "pseudo_targets"] = "edge_smooth" if domain == "anime" else "pseudo_targets"
            twins, packed_twins = (loader.load_twins(data, some, made_by) for some in (rows, packed_rows))
            assert packed_twins.digest == twins.digest and torch.equal(packed_twins.pixels, twins.pixels)


@pytest.fixture
def _enter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from world.enter(tmp_path, monkeypatch)


@pytest.mark.parametrize("mapped", [False, True])
def test_training_from_shards_gives_the_same_bytes_even_stopped_and_mapped(
    mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, _enter: Path
) -> None:
    """From folders in memory at one go; from shards alone, stopped after two steps and resumed, in a mapped file or not."""

    varied: dict[str, dict[str, Any]] = {
        "loss": {"target": "pseudo_target"},
        "pretrain": {"target": "pseudo_target"},
        "train": {"checkpoint_every_s": 1e-9},
    }
    data = world.make_data(tmp_path)
    for name in ("pretrain", "train"):
        world.go(name, world.settings(**varied), data)
    wanted = {name: world.contents(data / name) for name in ("pretrain", "train")}

    pack(data, tmp_path / "out")
    for name in ("crop", "edge_smooth", "pseudo_targets", "split", "pretrain", "train"):
        shutil.rmtree(data / name)
    chosen = world.settings(**varied).model_copy(update={"dataset": "out"})
    if mapped:
        monkeypatch.setattr(loader, "HOST_SHARE", 0.0)
    world.go("pretrain", chosen, data)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        world.stop_after(2, patch, gan_step)
        world.go("train", chosen, data)
    with caplog.at_level("INFO"):
        world.go("train", chosen, data)
    assert any(record.getMessage() == "resuming at images 8 of 16" for record in caplog.records)
    assert {name: world.contents(data / name) for name in ("pretrain", "train")} == wanted
    assert bool(list((_enter / "crops").glob("*.u8"))) == mapped


def test_a_mapped_file_is_built_once_and_anew_when_a_square_changes(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _enter: Path
) -> None:
    monkeypatch.setattr(loader, "HOST_SHARE", 0.0)
    pack(data, tmp_path / "out")
    _, first = loader.load_split(data, "photo", "train", listed="out")
    (file,) = (_enter / "crops").iterdir()
    made = file.stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(shards, "read", lambda row, project: pytest.fail("decoded again"))
        _, again = loader.load_split(data, "photo", "train", listed="out")
    assert file.stat().st_mtime_ns == made and first.digest == again.digest and torch.equal(first.pixels, again.pixels)
    assert first.pixels.numpy().tobytes() == file.read_bytes()

    world.redraw(data, "photo-1", 255 - images.read(tmp_path / "data/crop/pictures/photo/photo-1.png"))
    pack(data, tmp_path / "out", overwrite=True)
    _, changed = loader.load_split(data, "photo", "train", listed="out")
    assert changed.digest != first.digest and torch.equal(changed.pixels[1], 255 - first.pixels[1])


def test_a_build_that_is_stopped_leaves_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, _enter: Path
) -> None:
    monkeypatch.setattr(loader, "HOST_SHARE", 0.0)
    (tmp_path / "data/crop/pictures/photo/photo-4.png").write_bytes(b"text")
    with pytest.raises(UserError, match=r"photo-4\.png has changed since it was listed: run dvc repro"):
        loader.load_split(data, "photo", "train")
    assert not list((_enter / "crops").iterdir())


def test_a_full_disk_is_told_before_anything_is_mapped(data: Path, monkeypatch: pytest.MonkeyPatch, _enter: Path) -> None:
    monkeypatch.setattr(loader, "HOST_SHARE", 0.0)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match=r"6 crops are too many for memory .* make room, or set GENGA_WORK"):
        loader.load_split(data, "photo", "train")


def test_packing_replaces_only_when_asked_and_only_its_own(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pack(data, out)
    before = contents(out)
    with pytest.raises(UserError, match=r"anime/train exists already: give another folder, or --overwrite"):
        pack(data, out, shard_mb=1)
    assert contents(out) == before
    pack(data, out, shard_mb=1, overwrite=True)
    assert (out / "anime/train/000000.tar").exists() and not (out / "anime/train/000001.tar").exists()
    shutil.rmtree(out / "photo/val")
    (out / "photo/val").mkdir()
    (out / "photo/val/mine.txt").write_text("holiday")
    with pytest.raises(UserError, match="was not written by genga pack and stays"):
        pack(data, out, overwrite=True)
    assert (out / "photo/val/mine.txt").exists()


def test_what_is_missing_is_told_and_nothing_half_written_stays(data: Path, tmp_path: Path) -> None:
    def refused(words: str) -> None:
        with pytest.raises(UserError, match=words):
            pack(data, tmp_path / "out")
        assert not (tmp_path / "out").exists() and not [p for p in tmp_path.iterdir() if p.name.startswith(".")]

    rows, twins = manifest.read(data / "split"), manifest.read(data / "edge_smooth/about/anime")
    manifest.write(data / "edge_smooth/about/anime", twins[1:])
    refused(r"data/edge_smooth has no twin of anime-0: run dvc repro")
    manifest.write(data / "edge_smooth/about/anime", twins)
    manifest.write_by_domain(data / "split", [row for row in rows if row.domain == "anime"])
    refused(r"lists no photo crops in train: name other splits or domains")
    manifest.write_by_domain(data / "split", rows)
    (tmp_path / "data/crop/pictures/photo/photo-8.png").unlink()
    refused(r"photo-8\.png is missing: run dvc repro")
    shutil.rmtree(data / "split")
    refused(r"data/split/manifest\.jsonl is missing: run dvc repro")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written to"):
        pack(world.make_data(tmp_path), tmp_path / "file/out")


def test_damaged_shards_are_told(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def refused(words: str, domain: Domain = "anime") -> None:
        with pytest.raises(UserError, match=words) as caught:
            loader.load_split(data, domain, "train", listed="out")
        assert "\n" not in str(caught.value)

    with pytest.raises(UserError, match=r"nothing, named by dataset: .* neither crops nor shards"):
        loader.load_split(data, "anime", "train", listed="nothing")
    pack(data, out)
    tar = out / "anime/train/000001.tar"
    whole = tar.read_bytes()
    tar.write_bytes(whole[:-512])
    refused(rf"000001\.tar has {len(whole) - 512} bytes of {len(whole)}: fetch it again")
    tar.write_bytes(bytes(len(whole)))
    refused(r"000001\.tar (is damaged|holds 0 of \d crops)")
    tar.write_bytes(whole.replace(b"IDAT", b"IDAX", 1))
    refused(r"000001\.tar/.*\.png is (damaged|not a picture)")
    tar.unlink()
    refused(r"000001\.tar is missing")
    shutil.rmtree(out / "photo/train")
    refused(r"photo/train holds no shards: write them with genga pack", "photo")
    (out / "anime/train/index.json").write_text("{")
    refused(r"index\.json is damaged")
    (out / "anime/train/index.json").write_text("{}")
    refused(r"index\.json is no index of 'genga shards 1'")


def test_pngs_go_in_as_they_are(data: Path, tmp_path: Path) -> None:
    pack(data, tmp_path / "out", shard_mb=1)
    stored = dict((member.name, content) for member, content in members(tmp_path / "out/photo/val/000000.tar"))
    assert stored["photo-7.png"] == (tmp_path / "data/crop/pictures/photo/photo-7.png").read_bytes()
    assert Image.open(io.BytesIO(stored["photo-7.png"])).size == (world.SIDE, world.SIDE)
