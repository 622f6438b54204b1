"""params.yaml: all errors in one message, each with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.params import schema
from pipeline.params.schema import Params
from tests.conftest import ROOT, vary

TEXT = (ROOT / "params.yaml").read_text("utf-8")


def message_of(text: str, folder: Path) -> str:
    path = folder / "params.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(UserError) as caught:
        schema.load(path)
    return str(caught.value)


def test_all_errors_are_reported_together_with_their_keys(tmp_path: Path) -> None:
    text = TEXT.replace("size_px: 256", "size_px: -256").replace("max_distance: 6", "max_distance: three")
    text = text.replace("  tv_weight:", "  tv_wieght:")
    message = message_of(text, tmp_path)
    assert "4 errors" in message
    for key in ("crop.size_px", "dedup.max_distance", "loss.tv_weight: missing", "loss.tv_wieght: unknown key"):
        assert key in message
    assert "'three'" in message


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("films:\n  sample:", "films:\n  ../sample:", "films"),
        ("footage: {}", "footage: {sample: a.mp4}", "share the name sample"),
        ("dilate_px: 5", "dilate_px: 4", "dilate_px must be odd"),
        ("side_min: 0.4", "side_min: 0.95", "side_min"),
        ("val: 0.1", "val: 0.9", "val + pred"),
        ("resize_max: 1.0", "resize_max: 0.5", "resize_min (1.0) must not exceed"),
        ("lr: 0.003", "lr: 0", "lr"),
        ("seed: 1", "seed: true", "seed"),
        ("workers: 0", "workers: 0\nwrokers: 1", "wrokers: unknown key"),
        ("canny_low: 100", "canny_low: 300", "canny_low (300.0) must not exceed"),
        ("accumulate: 1", "accumulate: 4", "accumulate (4) must divide batch (2)"),
        ("best_by: null", "best_by: null\n  stop_after_images: 5", "not valid YAML"),
        ("stop_after_images: null", "stop_after_images: 5", "set best_by"),
        ("style_layer_weights: []", "style_layer_weights: [1.0, 2.0]", "2 values for 3 style_layers"),
        ("relu2_2, relu3_1", "relu1_2, relu3_1", "names a layer twice"),
        ("area_color_line_px: 5", "area_color_line_px: 4", "area_color_line_px must be odd"),
        ("grayscale_weight: 0.0", "grayscale_weight: 0.5", "set it to false, or grayscale_weight to 0"),
        ("label_smoothing: 0.0", "label_smoothing: 0.1", "no effect with adversarial_form hinge"),
    ],
)
def test_an_error_names_its_key(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert old in TEXT
    assert expected in message_of(TEXT.replace(old, new, 1), tmp_path)


def test_training_cannot_use_more_than_a_whole_crop(committed: Params) -> None:
    with pytest.raises(UserError, match=r"train\.crop_px"):
        vary(committed, {"train.crop_px": 512})


@pytest.mark.parametrize("text", ["films: [", "\x00", "a: b: c"])
def test_invalid_yaml_is_reported_in_one_message(text: str, tmp_path: Path) -> None:
    assert "not valid YAML" in message_of(text, tmp_path)


def test_a_missing_file_says_how_to_restore_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="git checkout"):
        schema.load(tmp_path / "params.yaml")


def test_exponents_without_a_point_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(TEXT.replace("discriminator_lr: 0.0004", "discriminator_lr: 1e-4"), "utf-8")
    assert schema.load(path).train.discriminator_lr == 1e-4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[" * 1000, "nested too deep"),
        ("- " * 2000 + "x", "nested too deep"),
        ("&a [*a]", "nested too deep, or holds itself"),
        (
            "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
            "more than 20,000 values",
        ),
        ("# " * 600_000, "larger than 1,000,000 bytes"),
        (TEXT.replace("workers: 0", "workers: 1000000000"), "workers: input should be less than or equal to 1024"),
        (TEXT.replace("per_photo: 16", "per_photo: 1000000000"), "crop.per_photo: input should be less than or equal to 10000"),
        (TEXT.replace("discriminator_steps: 1", "discriminator_steps: 1000000000"), "train.discriminator_steps: input"),
        (TEXT.replace("superpixel_px: 18", "superpixel_px: 1000000000"), "loss.superpixel_px: input should be less"),
        (TEXT.replace("max_overlap: 0.7", "max_overlap: .nan"), "crop.max_overlap: input should be a finite number"),
        (TEXT.replace("max_lost_s: 5.0", "max_lost_s: .inf"), "keyframes.max_lost_s: input should be a finite number"),
        (TEXT.replace("workers: 0", f"workers: {'9' * 4000}"), "workers: "),
    ],
)
def test_files_made_to_fill_memory_or_stack_are_refused(text: str, expected: str, tmp_path: Path) -> None:
    message = message_of(text, tmp_path)
    assert expected in message and len(message) < 2000
