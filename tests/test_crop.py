"""Crops lie inside the picture, are square, not flat, overlap little, and do not depend on other pictures or workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import crop
from pipeline.core import files, manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.crop import draw_boxes
from pipeline.frames import fingerprints, perceptual_hashes
from pipeline.media import arrays, images
from pipeline.params.data import CropParams
from pipeline.params.schema import Params
from tests.conftest import run_stage, scene, vary


def params_of(**changes: object) -> CropParams:
    values: dict[str, object] = {
        "seed": 1, "size_px": 64, "mode": "random", "per_frame": 6, "per_photo": 3, "side_min": 0.4, "side_max": 0.9,
        "max_upscale": 2.0, "max_overlap": 0.5, "min_edge_share": 0.0, "face_share": 0.0, "tries": 20,
    }  # fmt: skip
    return CropParams.model_validate(values | changes)


@settings(max_examples=150)
@given(
    st.integers(20, 700),
    st.integers(20, 700),
    st.sampled_from(["random", "areas"]),
    st.floats(0.05, 1),
    st.floats(0.05, 1),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
def test_crops_keep_size_position_and_overlap_within_limits(
    width: int, height: int, mode: str, one: float, other: float, overlap: float, seed: int
) -> None:
    params = params_of(mode=mode, side_min=min(one, other), side_max=max(one, other), max_overlap=overlap)
    crops = draw_boxes(np.ones((height, width), bool), 4, params, np.random.default_rng(seed))
    assert len(crops) <= 4 * (6 if mode == "areas" else 1)
    for index, box in enumerate(crops):
        assert box.x >= 0 and box.y >= 0
        assert box.x + box.side <= width and box.y + box.side <= height
        assert box.side >= params.size_px / params.max_upscale - 1
        assert box.side <= params.side_max * min(width, height)
        assert all(box.overlap(before) <= overlap for before in crops[:index])


@settings(max_examples=150)
@given(
    st.integers(150, 700),
    st.integers(150, 700),
    st.sampled_from(["random", "areas"]),
    st.lists(st.tuples(st.integers(-50, 700), st.integers(-50, 700), st.integers(1, 400), st.integers(1, 90)), max_size=3),
    st.integers(0, 2**32),
)
def test_crops_touch_no_box_to_avoid(width: int, height: int, mode: str, avoid: list[crop.Box], seed: int) -> None:
    crops = draw_boxes(np.ones((height, width), bool), 3, params_of(mode=mode), np.random.default_rng(seed), avoid)
    for box in crops:
        assert 0 <= box.x <= width - box.side and 0 <= box.y <= height - box.side
        assert mode == "areas" or box.side >= int(0.4 * min(width, height))
        for x, y, wide, high in avoid:
            apart = box.x >= x + wide or x >= box.x + box.side or box.y >= y + high or y >= box.y + box.side
            assert apart


@pytest.mark.parametrize(("mode", "count"), [("random", 6), ("areas", 6)])
def test_the_rest_of_a_frame_with_a_subtitle_is_used(mode: str, count: int) -> None:
    subtitle = (500, 900, 920, 120)
    params = params_of(mode=mode, size_px=256, per_frame=6, max_overlap=0.7)
    per_area = 1 if mode == "areas" else 6
    crops = draw_boxes(np.ones((1080, 1920), bool), per_area, params, np.random.default_rng(0), [subtitle])
    assert len(crops) == count
    assert draw_boxes(np.ones((1080, 1920), bool), per_area, params, np.random.default_rng(0), [(0, 0, 1920, 1080)]) == []


def test_each_area_holds_one_crop() -> None:
    crops = draw_boxes(np.ones((1080, 1920), bool), 1, params_of(mode="areas", size_px=256), np.random.default_rng(0))
    cells = {(box.x // 640, box.y // 540) for box in crops}
    assert len(crops) == 6 and cells == {(x, y) for x in range(3) for y in range(2)}
    for box in crops:
        assert (box.x + box.side - 1) // 640 == box.x // 640
        assert (box.y + box.side - 1) // 540 == box.y // 540


def test_the_share_asked_for_is_drawn_around_faces() -> None:
    face, subtitle = (1500, 300, 90, 110), (500, 900, 920, 120)
    params = params_of(size_px=256, max_overlap=0.95, face_share=0.5)
    crops = draw_boxes(np.ones((1080, 1920), bool), 6, params, np.random.default_rng(0), [subtitle], [face])
    around = [box for box in crops if box.contains(face)]
    assert len(crops) == 6 and len(around) >= 3
    assert all(256 <= box.side <= 440 for box in crops[:3]) and all(box.contains(face) for box in crops[:3])
    plain = draw_boxes(np.ones((1080, 1920), bool), 6, params, np.random.default_rng(0), [subtitle])
    assert plain == draw_boxes(
        np.ones((1080, 1920), bool), 6, params_of(size_px=256, max_overlap=0.95), np.random.default_rng(0), [subtitle], [face]
    ), "without faces, or a share, nothing changes"
    hidden = draw_boxes(np.ones((1080, 1920), bool), 6, params, np.random.default_rng(0), [face], [face])
    assert len(hidden) == 6 and not any(box.contains(face) for box in hidden), "what must be avoided is"


def test_overlap_is_a_share_of_the_smaller_square() -> None:
    small, large = crop.CropBox(5, 2, 10), crop.CropBox(0, 0, 100)
    assert small.overlap(large) == large.overlap(small) == 1
    assert small.overlap(crop.CropBox(10, 2, 10)) == 0.5 and small.overlap(crop.CropBox(10, 7, 20)) == 0.25
    assert small.overlap(crop.CropBox(15, 2, 10)) == small.overlap(crop.CropBox(5, 40, 10)) == 0


def sides(params: CropParams, faces: list[crop.Box] | None = None) -> list[int]:
    """Sides of crops of a picture of 2000 x 1000, one a seed."""
    edges = np.ones((1000, 2000), bool)
    return [
        box.side for seed in range(60) for box in draw_boxes(edges, 1, params, np.random.default_rng(seed), (), faces or ())
    ]


@pytest.mark.slow
def test_sides_fill_the_range_that_is_allowed() -> None:
    anywhere = sides(params_of(size_px=256, side_min=0.1, side_max=0.8))
    assert 128 <= min(anywhere) < 160 and 760 < max(anywhere) <= 800, "enlarged by at most two"
    around_face = sides(params_of(size_px=256, side_min=0.1, side_max=1.0, face_share=1.0), [(900, 400, 120, 200)])
    assert 300 <= min(around_face) < 330 and 760 < max(around_face) <= 800, "1.5 to 4 times the longer side of the face"


def test_flat_parts_are_skipped() -> None:
    edges = np.zeros((400, 600), bool)
    edges[:, 400:] = True
    crops = draw_boxes(edges, 6, params_of(min_edge_share=0.2), np.random.default_rng(0))
    assert crops
    for box in crops:
        assert edges[box.y : box.y + box.side, box.x : box.x + box.side].mean() >= 0.2
    assert draw_boxes(np.zeros((400, 600), bool), 6, params_of(min_edge_share=0.01), np.random.default_rng(0)) == []


def test_small_pictures_are_not_enlarged() -> None:
    assert draw_boxes(np.ones((31, 500), bool), 6, params_of(side_max=1.0), np.random.default_rng(0)) == []
    assert draw_boxes(np.ones((36, 500), bool), 6, params_of(side_max=1.0), np.random.default_rng(0))


SOURCES: dict[manifest.Domain, str] = {"anime": "s", "photo": "photos"}


def make_pictures(root: Path, names: dict[str, manifest.Domain]) -> None:
    rows: dict[str, list[Row]] = {source: [] for source in SOURCES.values()}
    for index, (name, domain) in enumerate(names.items()):
        images.write(root / f"{name}.png", scene(index, 640, 400))
        source, file = SOURCES[domain], f"{name}.png"
        rows[source].append(
            Row(id=name, domain=domain, source=source, file=file, width_px=640, height_px=400, shot=name, time_s=1.5)
        )
    for source, own in rows.items():
        (root / "data/dedup" / source).mkdir(parents=True, exist_ok=True)
        manifest.write(root / "data/dedup" / source, own)


def run(params: Params) -> dict[str, bytes]:
    for domain, source in SOURCES.items():
        run_stage("crop", params, f"{domain}/{source}")
    return {path.name: path.read_bytes() for path in Path("data/crop/pictures").rglob("*.png")}


def all_rows() -> list[Row]:
    return [row for domain, source in SOURCES.items() for row in manifest.read(Path("data/crop/about") / domain / source)]


@pytest.mark.slow
def test_crops_do_not_depend_on_workers_or_other_pictures(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = vary(committed, {"crop.size_px": 128, "pretrain.crop_px": 64, "train.crop_px": 64})
    make_pictures(tmp_path, {"a": "anime", "b": "anime", "c": "photo"})
    one = run(vary(params, {"workers": 1}))
    assert one == run(vary(params, {"workers": 2}))
    make_pictures(tmp_path, {"a": "anime", "b": "anime", "c": "photo", "d": "anime"})
    more = run(params)
    assert {name: data for name, data in more.items() if not name.startswith("d")} == one
    assert any(name.startswith("d") for name in more)


def test_rows_describe_where_each_crop_was_cut(committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path, {"a": "anime", "c": "photo"})
    run(committed)
    rows = all_rows()
    assert len(rows) >= 6
    for row in rows:
        assert row.box is not None and row.box[2] == row.box[3] and row.shot == row.parent and row.time_s == 1.5
        x, y, side, _ = row.box
        whole = images.read(Path(f"{row.parent}.png"))
        crop = images.read(Path(row.file or ""))
        assert crop.shape == (256, 256, 3)
        assert np.array_equal(crop, arrays.resize(whole[y : y + side, x : x + side], 256, 256))
        assert row.digest == files.digest(Path(row.file or ""))


def test_a_picture_without_crops_gets_a_row_with_the_reason(
    committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path, {"a": "anime", "b": "anime", "c": "photo", "d": "anime"})
    for flat in ("a.png", "d.png"):
        images.write(Path(flat), np.full((400, 640, 3), 90, np.uint8))
    images.write(Path("c.png"), scene(1, 100, 100))
    rows = manifest.read(Path("data/dedup/s"))
    covered = [row.model_copy(update={"avoid": [(0, 0, 640, 400)]}) if row.id in "bd" else row for row in rows]
    manifest.write(Path("data/dedup/s"), covered)
    run(committed)
    assert {(row.id, row.parent, row.reason, row.file) for row in all_rows()} == {
        ("a", "a", "flat", None),
        ("b", "b", "covered", None),
        ("c", "c", "too_small", None),
        ("d", "d", "flat", None),
    }


def test_fingerprints_are_those_of_the_crops(committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path, {"a": "anime", "b": "anime", "c": "photo"})
    images.write(Path("a.png"), np.full((400, 640, 3), 90, np.uint8))
    run(committed)
    seen = 0
    for domain, source in SOURCES.items():
        folder = Path("data/crop/about") / domain / source
        rows = manifest.kept(manifest.read(folder))
        found = fingerprints.read(folder, len(rows))
        for index, row in enumerate(rows):
            crop = images.read(Path(row.file or ""))
            assert fingerprints.hashes(found)[:, index].tolist() == [
                perceptual_hashes.phash(arrays.luma(crop)),
                perceptual_hashes.dhash(arrays.luma(crop)),
            ]
            assert np.array_equal(found["small"][index], arrays.resize(crop, 16, 16))
            seen += 1
        whole = (folder / fingerprints.FILE).read_bytes()
        for content, count in ((whole, len(rows) + 1), (whole[:-1], len(rows)), (b"", len(rows)), (None, len(rows))):
            (folder / fingerprints.FILE).unlink()
            if content is not None:
                (folder / fingerprints.FILE).write_bytes(content)
            with pytest.raises(
                UserError, match=r"fingerprints\.npy is missing or damaged: delete data/crop/.* and run dvc repro"
            ):
                fingerprints.read(folder, count)
            (folder / fingerprints.FILE).write_bytes(whole)
    assert seen > 6


def test_a_damaged_picture_is_an_error(committed: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path, {"a": "anime", "b": "anime"})
    Path("b.png").write_bytes(Path("b.png").read_bytes()[:500])
    with pytest.raises(UserError, match=r"b\.png is damaged"):
        run(committed)
    assert not Path("data/crop").exists()
