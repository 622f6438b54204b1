"""`genga stylize`: photos and films of folders into a folder, and only what is missing there."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.commands.stylize import Format, Report, stylize_files
from pipeline.core.errors import UserError
from pipeline.film.videos import VideoOptions
from pipeline.inference.render_options import RenderOptions
from pipeline.inference.result_log import FILE, HIDDEN_FILE
from pipeline.inference.stylizer import Stylizer
from pipeline.media import images
from pipeline.media.images import Picture
from tests.conftest import scene
from tests.support.clips import REGULAR_TIMES, Clip
from tests.support.stylizers import Negative, Unchanged, negative


def put(path: Path, seed: int = 0) -> Picture:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(scene(seed, 17, 12)).save(path)
    return images.read(path)


def run(
    path: Path, out: Path | None, stylizer: Stylizer | None = None, format: Format = "png", overwrite: bool = False
) -> Report:
    stylizer = stylizer or Negative()
    return stylize_files([path], out, lambda _: stylizer, format=format, overwrite=overwrite)


def results_in(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (FILE, HIDDEN_FILE)
    )


def test_the_tree_of_a_folder_is_kept_and_png_is_exact(tmp_path: Path) -> None:
    pictures = {
        name: put(tmp_path / "in" / name, seed)
        for seed, name in enumerate(["a.png", "sub dir/ü b.png", "sub dir/deep/日本.png"])
    }
    report = run(tmp_path / "in", tmp_path / "out")
    assert results_in(tmp_path / "out") == sorted(pictures)
    assert len(report.done) == 3 and not report.failed
    for name, picture in pictures.items():
        np.testing.assert_array_equal(images.read(tmp_path / "out" / name), negative(picture))


def test_formats(tmp_path: Path) -> None:
    for name in ("a.png", "b.webp", "c.gif"):
        put(tmp_path / "in" / name)
    run(tmp_path / "in", tmp_path / "same", format="same")
    assert results_in(tmp_path / "same") == ["a.png", "b.webp", "c.png"]
    run(tmp_path / "in", tmp_path / "jpg", format="jpg")
    assert results_in(tmp_path / "jpg") == ["a.jpg", "b.jpg", "c.jpg"]


@pytest.mark.parametrize("format", ["png", "webp", "avif", "tif"])
def test_transparency_is_kept(format: Format, tmp_path: Path) -> None:
    alpha = np.zeros((12, 17), np.uint8)
    alpha[:, 9:] = 255
    Image.fromarray(np.dstack([scene(0, 17, 12), alpha])).save(tmp_path / "a.png")
    run(tmp_path / "a.png", tmp_path / "out", format=format)
    photo = images.read_photo(tmp_path / f"out/a.{format}")
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, alpha)
    if format == "png":
        np.testing.assert_array_equal(photo.picture[:, 9:], negative(scene(0, 17, 12))[:, 9:])


def test_jpeg_lays_transparency_over_white(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([scene(0, 17, 12), np.zeros((12, 17), np.uint8)])).save(tmp_path / "a.png")
    run(tmp_path / "a.png", tmp_path / "out", format="jpg")
    assert images.read(tmp_path / "out/a.jpg").min() > 250


def test_failures_are_reported_in_one_line_each_and_the_rest_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "in/good.png")
    (tmp_path / "in/text.jpg").write_text("Dear diary")
    (tmp_path / "in/empty.png").touch()
    (tmp_path / "in/broken.mkv").write_bytes(b"no video")
    with caplog.at_level(logging.WARNING, "genga"):
        report = run(tmp_path / "in", tmp_path / "out")
    assert results_in(tmp_path / "out") == ["good.png"]
    assert {source.name for source, _ in report.failed} == {"broken.mkv", "empty.png", "text.jpg"}
    assert len(caplog.records) == 3 and not any("\n" in record.getMessage() for record in caplog.records)
    assert report.summary(Path("out")) == "1 redrawn into out, 3 failed"


def test_existing_files_are_replaced_only_if_asked(tmp_path: Path) -> None:
    photo = put(tmp_path / "a.bmp")
    mine = put(tmp_path / "out/a.png", 5)
    with pytest.raises(UserError, match="exists already"):
        run(tmp_path / "a.bmp", tmp_path / "out")
    np.testing.assert_array_equal(images.read(tmp_path / "out/a.png"), mine)
    run(tmp_path / "a.bmp", tmp_path / "out", overwrite=True)
    np.testing.assert_array_equal(images.read(tmp_path / "out/a.png"), negative(photo))


def test_only_what_is_missing_is_redrawn(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for seed, name in enumerate(["a.png", "b.png", "sub/c.png"]):
        put(folder / name, seed)

    def again(model: str = "one", render: RenderOptions | None = None, overwrite: bool = False) -> tuple[int, int]:
        stylizer = Negative(model)
        report = stylize_files([folder], out, lambda _: stylizer, render=render, overwrite=overwrite)
        assert len(report.done) == stylizer.count
        return len(report.done), len(report.skipped)

    assert again() == (3, 0)
    assert again() == (0, 3)
    (out / "b.png").unlink()  # as if the run had been stopped before
    put(folder / "d.png", 9)
    assert again() == (2, 2)
    put(folder / "a.png", 77)
    for model, render in (("two", None), ("one", RenderOptions(strength=0.5)), ("one", None)):
        with pytest.raises(UserError, match="exists already"):
            again(model, render)
    assert again(overwrite=True) == (4, 0)
    assert again() == (0, 4)


def test_folders_of_photos_and_films(tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    Clip(times=REGULAR_TIMES[:3]).write(tmp_path / "in/deep/a.mp4")
    put(tmp_path / "in/a.png")
    first, second = (run(tmp_path / "in", tmp_path / "out", Unchanged()) for _ in range(2))
    assert results_in(tmp_path / "out") == ["a.png", "deep/a.mp4"]
    assert len(first.done) == 2 and len(second.skipped) == 2 and not second.done
    # Options of films matter to films alone.
    with pytest.raises(UserError, match=r"deep/a\.mp4 exists already"):
        stylize_files([tmp_path / "in"], tmp_path / "out", lambda _: Unchanged(), film=VideoOptions(crf=30))


def test_the_stylizer_is_chosen_by_the_whole_workload(tmp_path: Path) -> None:
    """Work that is done counts too, so that a run which is resumed uses the same arithmetic as when it began."""
    put(tmp_path / "in/a.png")
    Clip().write(tmp_path / "in/b.mp4")
    workloads: list[float] = []

    def open_stylizer(megapixels: float) -> Stylizer:
        workloads.append(megapixels)
        return Unchanged()

    for _ in range(2):
        stylize_files([tmp_path / "in"], tmp_path / "out", open_stylizer)
    assert workloads[0] == workloads[1] == pytest.approx((17 * 12 + 24 * 48 * 64) / 1e6, rel=0.05)


def test_without_a_place_results_lie_beside_their_photos(tmp_path: Path) -> None:
    photos = {name: put(tmp_path / name, seed) for seed, name in enumerate(["a.png", "sub/b.bmp", "c.png", "c.bmp"])}
    report = run(tmp_path, None)
    results = ["a-genga.png", "c-genga.bmp.png", "c-genga.png.png", "sub/b-genga.png"]
    assert results_in(tmp_path) == sorted([*photos, *results])
    np.testing.assert_array_equal(images.read(tmp_path / "sub/b-genga.png"), negative(photos["sub/b.bmp"]))
    for name, photo in photos.items():
        np.testing.assert_array_equal(images.read(tmp_path / name), photo)
    assert report.summary(None) == "4 redrawn beside their photos"
    again = run(tmp_path, None)
    assert len(again.skipped) == 4 and not again.done
    assert run(tmp_path / "a.png", None).summary(None) == f"0 redrawn: {tmp_path / 'a-genga.png'}, 1 were done already"


def test_results_beside_photos_overwrite_nothing(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    mine = put(tmp_path / "a-genga.png", 5)
    with pytest.raises(UserError, match="exists already"):
        run(tmp_path / "a.png", None)
    with pytest.raises(UserError, match="is a photo to redraw"):
        stylize_files([tmp_path / "a.png", tmp_path / "a-genga.png"], None, lambda _: Negative(), overwrite=True)
    np.testing.assert_array_equal(images.read(tmp_path / "a-genga.png"), mine)


def test_a_result_can_be_one_file_in_the_format_its_suffix_says(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    for _ in range(2):
        run(tmp_path / "a.png", tmp_path / "new/b.jpg")
    assert results_in(tmp_path) == ["a.png", "new/b.jpg"]
    with Image.open(tmp_path / "new/b.jpg") as image:
        assert image.format == "JPEG"
    Clip(times=REGULAR_TIMES[:3]).write(tmp_path / "a.mp4")
    run(tmp_path / "a.mp4", tmp_path / "new/b.mkv", Unchanged())
    assert (tmp_path / "new/b.mkv").is_file()


def test_one_file_takes_one_photo_and_a_format_that_can_be_written(tmp_path: Path) -> None:
    photo = put(tmp_path / "a.png")
    Clip(times=REGULAR_TIMES[:3]).write(tmp_path / "a.mp4")
    for source, out, message in [
        ("a.png", "b.gif", r"b\.gif: photos are written as"),
        ("a.png", "b.mp4", r"b\.mp4: photos are written as"),
        ("a.mp4", "b.png", r"b\.png: films are written as"),
        ("*.png", "a.png", "is the photo to redraw"),
        (".", "b.png", "is one file"),
        ("*", "b.png", "is one file"),
    ]:
        with pytest.raises(UserError, match=message):
            stylize_files([tmp_path / source], tmp_path / out, lambda _: Negative(), overwrite=True)
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), photo)
    (tmp_path / "folder.png").mkdir()
    run(tmp_path / "a.png", tmp_path / "folder.png")
    assert (tmp_path / "folder.png/a.png").is_file()


KILLED = """
import os, sys
from pathlib import Path
from pipeline.commands.stylize import stylize_files
from tests.support.stylizers import Negative

source, out, number, moment = sys.argv[1:]
replace, count = os.replace, 0

def replace_and_die(old, new):
    global count
    result = Path(new).suffix in (".png", ".mp4")
    if result and moment == "before" and count == 1:
        os.kill(os.getpid(), int(number))
    replace(old, new)
    count += result  # counted once it is there: several threads write results
    if result and count == 2:
        os.kill(os.getpid(), int(number))

os.replace = replace_and_die
stylize_files([Path(source)], Path(out) if out else None, lambda _: Negative())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "moment", "out"),
    [
        (signal.SIGKILL, "before", "out"),
        (signal.SIGKILL, "after", ""),
        (signal.SIGTERM, "before", ""),
        (signal.SIGTERM, "after", "out"),
    ],
)
def test_a_run_that_is_killed_as_a_result_appears_is_continued_by_the_same_command(
    number: signal.Signals, moment: str, out: str, tmp_path: Path
) -> None:
    for seed in range(3):
        put(tmp_path / f"in/{seed}.png", seed)
    Clip(times=REGULAR_TIMES[:3]).write(tmp_path / "in/z.mp4")
    place = tmp_path / out if out else None
    arguments = [str(tmp_path / "in"), str(place or ""), str(int(number)), moment]
    assert subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False).returncode == -number
    continued, again = (run(tmp_path / "in", place) for _ in range(2))
    assert len(continued.done + continued.skipped) == 4 and len(continued.skipped) >= (1 if moment == "before" else 2)
    assert (len(again.done), len(again.skipped)) == (0, 4)
    results = place or tmp_path / "in"
    mark = "" if out else "-genga"
    assert {f"{name}{mark}" for name in "012"} <= {path.stem for path in results.glob("*.png")}
    assert (results / f"z{mark}.mp4").is_file()
