"""Stage predict: whole photos of the pred split and of the user, redrawn at their own size."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from pipeline import predict
from pipeline.core import manifest, stage
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.media import images
from pipeline.params.schema import Params
from tests.conftest import scene, vary
from tests.support.stylizers import Negative, negative


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with two photos to redraw, one to train on, and an empty folder for one's own."""
    monkeypatch.chdir(tmp_path)
    for folder in ("data/split", "data/photos", "photos/sub"):
        Path(folder).mkdir(parents=True)
    rows = []
    for seed, (name, split) in enumerate([("a b.png", "pred"), ("sub/a b.png", "pred"), ("c.png", "train")]):
        images.write(Path("photos") / name, scene(seed, 90 + seed, 51))
        file = f"photos/{name}"
        row = Row(id=file, domain="photo", source="photos", file=file, width_px=90 + seed, height_px=51, shot=name)
        rows.append(row.model_copy(update={"split": split}))
    manifest.write(Path("data/split"), rows)
    return tmp_path


def limited(params: Params) -> Negative:
    stylizer = Negative()
    stylizer.max_megapixels = params.predict.max_megapixels
    return stylizer


def redrawn(committed: Params, **changes: object) -> tuple[Path, list[Row]]:
    params = vary(committed, {"predict.input": "data/photos", **changes})
    out = stage.execute("predict", lambda params, out: predict.run(params, out, stylizer=limited(params)), params)
    return out, manifest.read(out)


@pytest.mark.usefixtures("world")
def test_photos_that_are_absent_are_left_out_with_a_word(committed: Params, caplog: pytest.LogCaptureFixture) -> None:
    Path("photos/a b.png").unlink()
    _, rows = redrawn(committed)
    assert [row.parent for row in rows] == ["photos/sub/a b.png"]
    assert "1 of 2 photos are not on this machine and are left out: photos/a b.png" in caplog.text
    Path("photos/sub/a b.png").unlink()
    _, rows = redrawn(committed)
    assert rows == [] and "nothing to redraw" in caplog.text


@pytest.mark.usefixtures("world")
def test_the_pred_split_is_redrawn_whole(committed: Params) -> None:
    out, rows = redrawn(committed)
    assert [row.file for row in rows] == [f"data/predict/pictures/{name}" for name in ("a b.png.png", "a b.png-2.png")]
    for seed, row in enumerate(rows):
        assert row.file and (row.width_px, row.height_px) == (90 + seed, 51)
        np.testing.assert_array_equal(images.read(Path(row.file)), negative(scene(seed, 90 + seed, 51)))
    assert [row.parent for row in rows] == ["photos/a b.png", "photos/sub/a b.png"]
    assert {row.split for row in rows} == {"pred"} and len({row.id for row in rows}) == 2
    assert stage.METRICS in {path.name for path in out.iterdir()}


@pytest.mark.usefixtures("world")
def test_the_sheet_shows_photo_beside_result_large(committed: Params) -> None:
    for seed in range(3):
        images.write(Path(f"data/photos/{seed}.png"), scene(seed, 960, 540))
    out, _ = redrawn(committed)
    sheet = images.read(out / predict.SHEET)
    assert sheet.shape[1] > 4 * predict.CELL_PX
    assert sheet.shape[0] < 3 * (predict.CELL_PX * 9 // 16 + 8) + 8


def test_the_user_s_photos_may_lie_anywhere(committed: Params, world: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "holiday.png"
    images.write(elsewhere, scene(7, 40, 70))
    for place in (elsewhere, elsewhere.parent):
        _, rows = redrawn(committed, **{"predict.input": str(place)})
        own = [row for row in rows if row.source == predict.USER_SOURCE]
        assert [(row.id, row.file) for row in own] == [("predict.input/holiday.png", "data/predict/pictures/holiday.png")]
        assert images.read(world / str(own[0].file)).shape == (70, 40, 3)


@pytest.mark.usefixtures("world")
def test_a_broken_photo_is_a_row_with_a_reason(committed: Params, caplog: pytest.LogCaptureFixture) -> None:
    Path("data/photos/broken.jpg").write_text("no picture")
    images.write(Path("data/photos/large.png"), scene(1, 400, 300))
    with caplog.at_level(logging.WARNING, "genga"):
        out, rows = redrawn(committed, **{"predict.max_megapixels": 0.1})
    reasons = {row.id: row.reason for row in rows if row.reason}
    assert set(reasons) == {"predict.input/broken.jpg", "predict.input/large.png"}
    assert "predict.max_megapixels" in str(reasons["predict.input/large.png"])
    assert len(manifest.kept(rows)) == 2 and len(caplog.records) == 2
    assert (out / stage.METRICS).read_text() == '{\n  "pictures": 2,\n  "failed": 2\n}\n'


@pytest.mark.usefixtures("world")
def test_nothing_to_redraw_is_a_warning(committed: Params, caplog: pytest.LogCaptureFixture) -> None:
    manifest.write(Path("data/split"), [])
    with caplog.at_level(logging.WARNING, "genga"):
        out, rows = redrawn(committed)
    assert rows == [] and "put your photos there" in caplog.text and (out / predict.PICTURES).is_dir()
    assert (out / predict.SHEET).exists()


@pytest.mark.usefixtures("world")
def test_errors_name_their_key(committed: Params) -> None:
    with pytest.raises(UserError, match=r"predict\.input: nowhere does not exist"):
        redrawn(committed, **{"predict.input": "nowhere"})
    with pytest.raises(UserError, match=r"generator\.safetensors"):
        stage.execute("predict", predict.run, committed)
    assert not Path("data/predict").exists()
