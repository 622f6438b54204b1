"""Checkpoints are whole or skipped; only a run of the same parameters, data and code finds them."""

from pathlib import Path

import pytest
import torch

from pipeline.core import files
from pipeline.training import checkpoints
from pipeline.training.checkpoints import Checkpoint, Checkpoints


def checkpoint(images_seen: int) -> Checkpoint:
    return Checkpoint(images_seen, {"a": torch.full((4,), float(images_seen))}, {"note": images_seen})


def test_the_newest_two_are_kept_and_nothing_half_written(tmp_path: Path) -> None:
    kept = Checkpoints("train", "mine", tmp_path)
    for images_seen in (4, 8, 100, 12):
        kept.save(checkpoint(images_seen))
    assert sorted(path.name for path in kept.folder.iterdir()) == ["000000012", "000000100"]
    found = kept.load_newest()
    assert found is not None and found.images_seen == 100 and found.record == {"note": 100}
    assert torch.equal(found.tensors["a"], torch.full((4,), 100.0))
    kept.save(checkpoint(100))  # once more over itself
    more = Checkpoints("train", "mine", tmp_path, keep=1)
    more.save(checkpoint(101))
    assert [path.name for path in kept.folder.iterdir()] == ["000000101"]


@pytest.mark.parametrize("harm", ["cut", "flip", "no record", "no tensors", "empty record"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str) -> None:
    kept = Checkpoints("train", "mine", tmp_path)
    kept.save(checkpoint(4))
    place = kept.save(checkpoint(8))
    tensors, record = place / "state.safetensors", place / "state.json"
    data = tensors.read_bytes()
    match harm:
        case "cut":
            tensors.write_bytes(data[:-3])
        case "flip":
            tensors.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "no record":
            record.unlink()
        case "no tensors":
            tensors.unlink()
        case _:
            record.write_text("")
    found = kept.load_newest()
    assert found is not None and found.images_seen == 4
    assert "000000008 is damaged" in caplog.text


def test_a_fingerprint_follows_values_and_code() -> None:
    names = {checkpoints.fingerprint({"lr": lr, "data": "x"}, "1") for lr in (0.1, 0.2)}
    assert checkpoints.fingerprint({"data": "x", "lr": 0.1}, "1") in names
    assert checkpoints.fingerprint({"lr": 0.1, "data": "x"}, "2") not in names


def test_only_folders_of_finished_runs_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENGA_WORK", str(tmp_path))
    finished, unfinished = Checkpoints("train", "one"), Checkpoints("train", "two")
    for run in (finished, unfinished):
        run.save(checkpoint(4))
    finished.mark_finished()
    assert unfinished.other_runs() == [finished.folder]
    checkpoints.remove_finished("train")
    assert list((files.work_folder() / "train").iterdir()) == [unfinished.folder]
    assert unfinished.describe_newest() == "the last checkpoint is at images 4"
    assert finished.describe_newest() == "there is no checkpoint yet"
