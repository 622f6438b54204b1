"""Training from shards gives the same weights as from folders, and damaged shards are reported with a remedy."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import UserError
from pipeline.core.manifest import Domain
from pipeline.dataset import crop_sets, shards
from pipeline.training import loop
from tests.support import training_world as world
from tests.support.training_world import pack_all


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from world.enter(tmp_path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("mapped", [False, True])
def test_training_from_shards_gives_the_same_bytes_even_stopped_and_mapped(
    mapped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, work: Path
) -> None:
    """From folders in memory at one go; from shards alone, stopped after two steps and resumed, in a mapped file or not."""

    varied: dict[str, dict[str, Any]] = {
        "loss": {"target": "recolored"},
        "train": {"checkpoint_every_s": 1e-9},
    }
    data = world.make_data(tmp_path)
    for name in ("pretrain", "train"):
        world.go(name, world.settings(**varied), data)
    wanted = {name: world.contents(data / name) for name in ("pretrain", "train")}

    pack_all(data, tmp_path / "out")
    for name in ("crop", "edge_smooth", "split", "pretrain", "train"):
        shutil.rmtree(data / name)
    chosen = world.settings(**varied).model_copy(update={"dataset": "out"})
    if mapped:
        monkeypatch.setattr(crop_sets, "HOST_SHARE", 0.0)
    world.go("pretrain", chosen, data)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        world.stop_after(2, patch, loop, "gan_step")
        world.go("train", chosen, data)
    with caplog.at_level("INFO"):
        world.go("train", chosen, data)
    assert any(record.getMessage() == "resuming at images 8 of 16" for record in caplog.records)
    assert {name: world.contents(data / name) for name in ("pretrain", "train")} == wanted
    assert bool(list((work / "crops").glob("*.u8"))) == mapped


def test_a_set_is_summarized_in_words(data: Path, tmp_path: Path) -> None:
    first, *_ = pack_all(data, tmp_path / "out", shard_mb=1)
    size = sum(path.stat().st_size for path in first.glob("*.tar"))
    assert shards.summary(first) == f"6 crops in 1 shards, {size / 1e6:.1f} MB"


def test_damaged_shards_are_reported(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def refused(words: str, domain: Domain = "anime") -> None:
        with pytest.raises(UserError, match=words) as caught:
            crop_sets.load_split(data, domain, "train", dataset="out")
        assert "\n" not in str(caught.value)

    pack_all(data, out)
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
    refused(r"index\.json is not an index of 'genga shards 1'")
