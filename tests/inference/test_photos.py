"""Photo files through a stylizer: in order, in batches of one size, whatever fails on the way."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import UserError
from pipeline.inference.photos import Result, stylize_photos
from pipeline.inference.render_options import RenderOptions
from pipeline.inference.stylizer import Stylizer
from pipeline.media import images
from pipeline.media.images import Picture
from tests.conftest import scene
from tests.support.stylizers import Failing, Negative, negative


def write(folder: Path, sizes: Sequence[tuple[int, int]]) -> list[tuple[Path, Path]]:
    """Write a photo of each width and height, and plan them."""
    folder.mkdir()
    plan = []
    for index, (width, height) in enumerate(sizes):
        plan.append((folder / f"{index:02d}.png", folder.parent / f"out/{index:02d}.png"))
        images.write(plan[-1][0], scene(index, width, height))
    return plan


def run(plan: Sequence[tuple[Path, Path]], stylizer: Stylizer, thumbnail_px: int = 0) -> list[Result]:
    return list(stylize_photos(plan, stylizer, RenderOptions(), thumbnail_px))


def test_neighbors_of_one_size_go_together_and_results_come_in_order(tmp_path: Path) -> None:
    plan = write(tmp_path / "in", [(17, 12)] * 5 + [(10, 20)] * 2 + [(17, 12), (900, 900), (900, 900)])
    plan[3][0].write_bytes(b"no picture")
    stylizer = Negative()
    results = run(plan, stylizer)
    assert stylizer.batches == [(3, 12, 17), (1, 12, 17), (2, 20, 10), (1, 12, 17), (1, 900, 900), (1, 900, 900)]
    assert [(result.source, result.target) for result in results] == plan
    assert [index for index, result in enumerate(results) if result.error] == [3]
    for index, (result, (source, target)) in enumerate(zip(results, plan, strict=True)):
        if index != 3:
            assert (result.width_px, result.height_px) == images.read(source).shape[1::-1]
            np.testing.assert_array_equal(images.read(target), negative(images.read(source)))


def test_errors_name_the_photo_and_the_rest_goes_on(tmp_path: Path) -> None:
    plan = write(tmp_path / "in", [(30, 30), (17, 12), (30, 20)])
    plan[0][0].write_bytes(plan[0][0].read_bytes()[:400])
    plan.append((tmp_path / "in/none.png", tmp_path / "out/none.png"))
    results = run(plan, Failing(1))
    assert [bool(result.digest) for result in results] == [False, True, False, False]
    assert results[2].error == f"{plan[2][0]}: out of memory"
    assert all(str(result.source) in str(result.error) for result in results if not result.digest)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["01.png"]


def test_a_photo_over_the_limit_is_not_decoded(tmp_path: Path) -> None:
    stylizer = Negative()
    stylizer.max_megapixels = 0.001
    results = run(write(tmp_path / "in", [(50, 40), (17, 12)]), stylizer)
    assert "over the limit of 0.001" in str(results[0].error) and results[1].digest


def test_the_network_sees_no_edges_of_transparent_pixels(tmp_path: Path) -> None:
    picture = np.full((12, 17, 3), 200, np.uint8)
    picture[:, :9] = 0
    alpha = np.repeat(np.array([0] * 9 + [255] * 8, np.uint8)[None], 12, axis=0)
    Image.fromarray(np.dstack([picture, alpha])).save(tmp_path / "a.png")
    seen: list[Picture] = []

    class Watching(Negative):
        def stylize_batch(self, pictures: Sequence[Picture]) -> list[Picture]:
            seen.extend(pictures)
            return super().stylize_batch(pictures)

    run([(tmp_path / "a.png", tmp_path / "out/a.png")], Watching())
    assert (seen[0] == 200).all()
    np.testing.assert_array_equal(images.read_photo(tmp_path / "out/a.png").alpha, alpha)


def test_thumbnails_are_of_photo_and_result(tmp_path: Path) -> None:
    plan = write(tmp_path / "in", [(100, 50)])
    (result,) = run(plan, Negative(), thumbnail_px=20)
    assert result.thumbnails is not None
    before, after = result.thumbnails
    assert before.shape == after.shape == (10, 20, 3)
    assert np.abs(255 - before.astype(int) - after).max() <= 1
    assert run(plan, Negative())[0].thumbnails is None


def test_a_picture_that_its_format_cannot_hold_is_one_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = write(tmp_path / "in", [(17, 12), (20, 10)])

    def too_large(*_: object) -> str:
        raise OSError("encoder error -2 when writing image file")

    monkeypatch.setattr(images, "write", too_large)
    results = run(plan, Negative())
    assert len(results) == 2
    assert all("cannot be encoded" in str(result.error) and "choose another format" in str(result.error) for result in results)


def test_a_full_disk_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = write(tmp_path / "in", [(30 + index, 20) for index in range(20)])

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "write", full)
    stylizer = Negative()
    with pytest.raises(UserError, match="No space left"):
        run(plan, stylizer)
    assert stylizer.count < 6
