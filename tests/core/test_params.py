"""params.yaml: every fault at once, each with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.params import schema
from pipeline.params.schema import Params
from tests.conftest import ROOT, vary

TEXT = (ROOT / "params.yaml").read_text("utf-8")


def fault_of(text: str, folder: Path) -> str:
    path = folder / "params.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError) as caught:
        schema.load(path)
    return str(caught.value)


def test_all_faults_are_told_together_with_their_keys(tmp_path: Path) -> None:
    text = TEXT.replace("size_px: 256", "size_px: -256").replace("max_distance: 6", "max_distance: three")
    text = text.replace("  tv_weight:", "  tv_wieght:")
    message = fault_of(text, tmp_path)
    assert "4 faults" in message
    for key in ("crop.size_px", "dedup.max_distance", "loss.tv_weight: missing", "loss.tv_wieght: unknown key"):
        assert key in message
    assert "'three'" in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("films:\n  sample: data/sample/film.mp4", "films: {}", "films"),
        ("films:\n  sample:", "films:\n  ../sample:", "films"),
        ("footage: {}", "footage: {sample: a.mp4}", "share the name sample"),
        ("dilate_px: 5", "dilate_px: 4", "dilate_px must be odd"),
        ("side_min: 0.4", "side_min: 0.95", "side_min"),
        ("val: 0.1", "val: 0.9", "val + pred"),
        ("resize_max: 1.0", "resize_max: 0.5", "resize_min (1.0) must not exceed"),
        ("lr: 0.003", "lr: 0", "lr"),
        ("seed: 1", "seed: true", "seed"),
        ("workers: 0", "workers: 0\nwrokers: 1", "wrokers: unknown key"),
    ],
)
def test_a_fault_names_its_key(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert old in TEXT
    assert expected in fault_of(TEXT.replace(old, new, 1), tmp_path)


def test_crop_of_training_must_fit_the_squares(committed: Params) -> None:
    with pytest.raises(UserError, match=r"train\.crop_px"):
        vary(committed, {"train.crop_px": 512})


@pytest.mark.parametrize("text", ["films: [", "\x00", "a: b: c"])
def test_no_yaml_is_one_clear_line(text: str, tmp_path: Path) -> None:
    assert "not valid YAML" in fault_of(text, tmp_path)


def test_a_missing_file_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="git checkout"):
        schema.load(tmp_path / "params.yaml")


def test_numbers_like_1e_4_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace("discriminator_lr: 0.0005", "discriminator_lr: 1e-4"), "utf-8")
    assert schema.load(path).train.discriminator_lr == 1e-4
