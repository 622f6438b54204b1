"""The checks of `genga doctor`, one by one; the table is tested with the command line."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from pipeline.commands import doctor, training_time
from pipeline.commands.doctor import Finding
from pipeline.commands.training_time import TrainingTime
from pipeline.core.errors import UserError
from pipeline.media import images
from pipeline.params.schema import Params
from tests.conftest import scene, vary


def test_one_wheel_of_opencv_is_right_and_two_or_none_are_not() -> None:
    one = doctor._cv2_wheels(["opencv-python-headless"])
    assert one.state == "ok" and one.text.startswith("opencv-python-headless ")
    two = doctor._cv2_wheels(["opencv-python", "opencv-python-headless"])
    assert two.state == "warn" and "pip uninstall -y opencv-python opencv-python-headless" in two.remedy
    assert doctor._cv2_wheels([]).state == "bad"


def test_a_package_that_is_not_installed_is_bad() -> None:
    assert doctor._package("pytest").state == "ok"
    assert doctor._package("no-such-package-at-all") == Finding(
        "no-such-package-at-all", "bad", "not installed", "pip install -e ."
    )


def test_openvino_is_recommended_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_installed", {"openvino": "2026.1"}.get)
    assert doctor._inference() == Finding("inference", "ok", "on CPUs by OpenVINO 2026.1")
    monkeypatch.setattr(doctor, "_installed", lambda package: None)
    assert doctor._inference().state == "warn" and "pip install -e '.[export]'" in doctor._inference().remedy


@pytest.mark.parametrize(("error", "remedy"), [(UserError("fix it"), ""), (ImportError("no torch"), "pip install -e .")])
def test_an_error_of_a_check_is_a_finding(error: Exception, remedy: str) -> None:
    def fail() -> str:
        raise error

    assert doctor._check("x", fail) == Finding("x", "bad", str(error), remedy)
    assert doctor._check("x", lambda: "fine") == Finding("x", "ok", "fine")


@pytest.mark.parametrize(("free_gb", "state"), [(2, "warn"), (64, "ok")])
def test_little_memory_and_disk_are_warned_of(free_gb: float, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=free_gb * 1e9, total=64e9))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=free_gb * 1e9))
    assert doctor._memory().state == doctor._disk(Path()).state == state
    assert bool(doctor._memory().remedy) == bool(doctor._disk(Path()).remedy) == (state == "warn")


def test_a_missing_source_is_bad_unless_the_sample_stage_draws_it(tmp_path: Path) -> None:
    missing = doctor._source("film a", tmp_path / "a.mkv", str)
    assert missing.state == "bad" and "does not exist" in missing.text and "params.yaml" in missing.remedy
    assert doctor._source("film sample", Path("data/sample/film.mp4"), str).state == "ok"
    assert doctor._source("photos", tmp_path, lambda path: path.name) == Finding("photos", "ok", tmp_path.name)


def test_folders_of_pictures_are_distinguished_from_episodes(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "._c.png"):
        (tmp_path / name).write_bytes(b"")
    assert doctor._film(tmp_path) == f"{tmp_path}: 2 pictures, each a shot of one frame"


def test_a_lock_that_a_full_disk_left_empty_is_bad_and_says_what_to_do(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    assert doctor._lock(lock).state == "ok"
    lock.write_text("schema: '2.0'\nstages: {}\n")
    assert doctor._lock(lock).state == "ok"
    for content in (b"", b"stages: [", b"\xff"):
        lock.write_bytes(content)
        finding = doctor._lock(lock)
        assert finding.state == "bad" and f"rm {lock}" in finding.remedy


def test_photos_that_are_too_few_and_a_film_too_large_are_told(
    committed: Params, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        images.write(tmp_path / f"{number}.png", scene(number))
    own = {"photos": str(tmp_path), "films": {"mine": str(film)}, "crop.per_photo": 10, "split.pred": 0.3, "split.val": 0.2}
    (photos,) = doctor._amounts(vary(committed, own))
    assert photos.state == "warn" and "withholds 30% (redrawn whole) and 20% (validation) of 3 photos" in photos.text
    assert "up to 15 crops" in photos.text and "3000 are enough" in photos.remedy
    assert next(doctor._amounts(vary(committed, own | {"report.enough_crops": 15}))).state == "ok"
    monkeypatch.setattr(doctor, "_BYTES_PER_PIXEL", 1e5)
    for free, state in ((1e12, "ok"), (1e9, "warn")):
        monkeypatch.setattr(shutil, "disk_usage", lambda folder, free=free: SimpleNamespace(free=free))
        assert list(doctor._amounts(vary(committed, own)))[1].state == state
    monkeypatch.chdir(tmp_path)
    drawn = Path(committed.films["sample"])
    drawn.parent.mkdir(parents=True)
    shutil.copy(film, drawn)
    assert list(doctor._amounts(committed)) == [], "the sample needs no advice"
    assert list(doctor._amounts(vary(committed, {"films": {"empty": "nowhere"}}))) == []


def test_a_training_of_days_without_a_gpu_is_told(committed: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_time, "estimate_within", lambda params, seconds, limit_s: TrainingTime(0.5, 40.0, 0.25))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    found = doctor._training_time(vary(committed, {"pretrain.images": 8}), 1.0)
    assert found.state == "warn" and "40.0 h" in found.text and "15 min" in found.text and "genga use laptop" in found.remedy
    text = doctor._training_time(vary(committed, {"pretrain.images": 0}), 1.0).text
    assert "pretraining" not in text, "recipes without pretraining"


@pytest.mark.parametrize(("load", "busy"), [(99.0, True), (0.0, False)])
def test_a_step_that_does_not_end_is_told(load: float, busy: bool, committed: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_MEASURING_S", 0.1)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    found = doctor._training_time(committed, 0.1)
    assert found.state == "warn" and "over 0 s" in found.text and "genga use laptop" in found.remedy
    assert ("other programs" in found.text) == busy
