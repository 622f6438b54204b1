"""Pictures of any size, and files of any kind, through a tiny generator."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from models.generators.table import TINY, Generator, build_generator
from models.streaming import strips
from pipeline.core.errors import UserError
from pipeline.inference.offload import Room
from pipeline.inference.photos import GAP_PX, JOURNAL, WRITABLE, Look, name_results, redraw_files
from pipeline.inference.stylizer import STEPS, Stylizer
from pipeline.media import arrays, images
from pipeline.media.images import Picture
from pipeline.networks import weights


def stirred(norm: str | None = None) -> nn.Module:
    """A tiny generator with every part at work: as initialised, its last layer is zero, which would hide faults."""
    torch.manual_seed(0)
    module = build_generator("tiny", norm=norm)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return module


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer(stirred(), "cpu")


def noise(height: int, width: int, seed: int = 0) -> Picture:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def negative(picture: Picture) -> Picture:
    return 255 - picture


# Pictures


@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=20)
def test_any_size_is_kept(stylizer: Stylizer, height: int, width: int) -> None:
    drawn = stylizer(noise(height, width))
    assert drawn.shape == (height, width, 3) and drawn.dtype == np.uint8 and drawn.flags["C_CONTIGUOUS"]


def test_it_redraws_and_always_alike(stylizer: Stylizer) -> None:
    photo = noise(33, 47)
    before = photo.copy()
    drawn = stylizer(photo)
    assert (drawn != photo).mean() > 0.5
    np.testing.assert_array_equal(photo, before)
    np.testing.assert_array_equal(stylizer(photo), drawn)
    np.testing.assert_array_equal(Stylizer(stirred(), "cpu")(photo), drawn)


def test_threads_share_one(stylizer: Stylizer) -> None:
    photos = [noise(40 + seed % 3, 50, seed) for seed in range(12)]
    alone = [stylizer(photo) for photo in photos]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(stylizer, photos))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_batch_is_its_pictures(stylizer: Stylizer) -> None:
    photos = [noise(24, 31, seed) for seed in range(5)]
    batch = stylizer.batch(photos)
    for photo, drawn in zip(photos, batch, strict=True):
        # Convolutions of batches may sum in another order: a value on the edge of rounding moves by one.
        assert np.abs(stylizer(photo).astype(int) - drawn).max() <= 1
    assert stylizer.batch([]) == []


def test_the_owner_of_a_module_keeps_it_as_it_was() -> None:
    module = build_generator("tiny", norm="batch").train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    Stylizer(module, "cpu")(noise(16, 16))
    assert module.training and all(parameter.requires_grad for parameter in module.parameters())
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_every_level_passes_unchanged_through_a_network_that_changes_none() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, 2)
    network = Generator(replace(TINY, brush=False, fills=0, ink=False))
    np.testing.assert_array_equal(Stylizer(network, "cpu")(levels), levels)


def test_flat_pictures_and_inputs_that_are_none(stylizer: Stylizer) -> None:
    # Without norm: of a picture without variance, instance norm makes large what is nothing but rounding.
    plain = Stylizer(stirred("none"), "cpu")
    for level in (0, 128, 255):
        drawn = plain(np.full((20, 20, 3), level, np.uint8))
        assert np.ptp(drawn, axis=(0, 1)).max() <= 1
    for wrong in (noise(4, 4).astype(np.float32), noise(4, 4)[..., 0], np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ValueError, match="expected uint8"):
            stylizer(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="one size"):
        stylizer.batch([noise(4, 4), noise(4, 5)])


def test_limit_device_and_numbers_that_are_not_finite() -> None:
    with pytest.raises(UserError, match=r"20x10 .*over the limit of 0\.0001"):
        Stylizer(stirred(), "cpu", max_megapixels=0.0001)(noise(10, 20))
    with pytest.raises(UserError, match="device 'teapot'"):
        Stylizer(stirred(), "teapot")
    broken = stirred()
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(UserError, match="not finite"):
        Stylizer(broken, "cpu")(noise(8, 8))


def test_a_file_draws_as_the_module_it_was_saved_from(tmp_path: Path, stylizer: Stylizer) -> None:
    path = tmp_path / "generator.safetensors"
    weights.save_generator(path, stirred(), weights.generator_metadata("tiny", None))
    loaded = Stylizer(path, "cpu")
    np.testing.assert_array_equal(loaded(noise(21, 19)), stylizer(noise(21, 19)))
    assert loaded.metadata["generator"] == "tiny"
    with pytest.raises(UserError, match="none"):
        Stylizer(tmp_path / "none.safetensors")


# Names


def test_names_stay_simple_unless_they_meet() -> None:
    given_names = ["a.jpg", "b.jpg", "b.tif", "sub/b.jpg", "A.JPG", "c", "c.png", "b.tif.bmp"]
    assert [str(name) for name in name_results(map(PurePosixPath, given_names))] == [
        "a.jpg.png", "b.jpg.png", "b.tif-2.png", "sub/b.png", "A.JPG-2.png", "c.png", "c.png.png", "b.tif.png",
    ]  # fmt: skip
    same = name_results(map(PurePosixPath, ["a.jpg", "a.PNG", "a.gif", "é.webp"]), "same")
    assert [str(name) for name in same] == ["a.jpg", "a.PNG.png", "a.gif.png", "é.webp"]


parts = st.text(st.sampled_from("aAé-2."), min_size=1, max_size=3).filter(lambda text: text.strip("."))
files = st.tuples(parts, st.sampled_from([".jpg", ".png", ".PNG", ".tif", ""])).map(
    lambda pair: PurePosixPath(pair[0] + pair[1])
)


@given(st.lists(files, max_size=12), st.sampled_from(["png", "jpg", "same"]))
@settings(max_examples=200)
def test_no_two_results_share_a_name(photos: list[PurePosixPath], format: str) -> None:
    results = name_results(photos, format)  # type: ignore[arg-type]
    assert len({str(result).casefold() for result in results}) == len(photos)
    assert all(result.suffix.lower() in WRITABLE for result in results)


# Files


def put(path: Path, seed: int = 0, size: tuple[int, int] = (12, 17)) -> Picture:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = noise(*size, seed)
    Image.fromarray(picture).save(path)
    return picture


def results_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != JOURNAL)


def test_the_tree_of_a_folder_is_kept_and_pngs_are_exact(tmp_path: Path) -> None:
    pictures = {
        name: put(tmp_path / "in" / name, seed)
        for seed, name in enumerate(["a.png", "sub dir/ü b.png", "sub dir/deep/日本.png"])
    }
    report = redraw_files([tmp_path / "in"], tmp_path / "out", negative)
    assert results_in(tmp_path / "out") == sorted(pictures)
    assert len(report.done) == 3 and not report.broken
    for name, picture in pictures.items():
        np.testing.assert_array_equal(images.read(tmp_path / "out" / name), negative(picture))


def test_names_that_meet_lose_nothing(tmp_path: Path) -> None:
    for seed, name in enumerate(["a.png", "a.bmp"]):
        put(tmp_path / "in" / name, seed)
    redraw_files([tmp_path / "in"], tmp_path / "out", negative)
    assert results_in(tmp_path / "out") == ["a.bmp.png", "a.png.png"]
    np.testing.assert_array_equal(images.read(tmp_path / "out/a.bmp.png"), negative(noise(12, 17, 1)))


def test_several_folders_keep_their_names_and_a_photo_given_twice_is_drawn_once(tmp_path: Path) -> None:
    put(tmp_path / "one/a.png")
    put(tmp_path / "two/a.png")
    report = redraw_files([tmp_path / "one", tmp_path / "two", tmp_path / "two/a.png"], tmp_path / "out", negative)
    assert results_in(tmp_path / "out") == ["one/a.png", "two/a.png"]
    assert len(report.done) == 2


def test_what_is_broken_is_told_and_counted_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, stylizer: Stylizer
) -> None:
    put(tmp_path / "in/good.png")
    put(tmp_path / "in/large.png", size=(40, 50))
    whole = tmp_path / "in/cut.jpg"
    put(whole, size=(30, 30))
    whole.write_bytes(whole.read_bytes()[:400])
    (tmp_path / "in/text.jpg").write_text("Dear diary")
    (tmp_path / "in/empty.png").touch()
    (tmp_path / "in/phone.jxl").touch()
    with caplog.at_level(logging.INFO, "genga"):
        report = redraw_files([tmp_path / "in"], tmp_path / "out", stylizer, max_megapixels=0.001)
    assert results_in(tmp_path / "out") == ["good.png"]
    assert {photo.name for photo, _ in report.broken} == {"cut.jpg", "empty.png", "large.png", "text.jpg"}
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 4 and not any("\n" in line for line in warnings)
    assert any("passed over 1 files" in record.getMessage() and "1 .jxl" in record.getMessage() for record in caplog.records)


def test_an_input_is_never_written_over(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    photo = put(folder / "a.png")
    (tmp_path / "link").symlink_to(folder)
    for inputs, out in [
        ([folder], folder),
        ([folder], tmp_path / "link"),
        ([folder / "a.png"], folder),
        ([folder / "a.png"], tmp_path / "link"),
    ]:
        with pytest.raises(UserError, match="written over"):
            redraw_files(inputs, out, negative, overwrite=True)
    np.testing.assert_array_equal(images.read(folder / "a.png"), photo)


def test_what_is_there_is_replaced_only_when_asked(tmp_path: Path) -> None:
    put(tmp_path / "a.bmp")
    mine = put(tmp_path / "out/a.png", 5)
    with pytest.raises(UserError, match="exists already"):
        redraw_files([tmp_path / "a.bmp"], tmp_path / "out", negative)
    np.testing.assert_array_equal(images.read(tmp_path / "out/a.png"), mine)
    redraw_files([tmp_path / "a.bmp"], tmp_path / "out", negative, overwrite=True)
    np.testing.assert_array_equal(images.read(tmp_path / "out/a.png"), negative(noise(12, 17)))


def test_results_inside_the_folder_are_not_redrawn(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    put(tmp_path / "in/a.png")
    for _ in range(2):
        with caplog.at_level(logging.INFO, "genga"):
            redraw_files([tmp_path / "in"], tmp_path / "in/anime", negative, overwrite=True)
    assert results_in(tmp_path / "in") == ["a.png", "anime/a.png"]
    assert "earlier results" in caplog.text


def test_side_by_side_and_formats(tmp_path: Path) -> None:
    picture = put(tmp_path / "in/a.png")
    Image.fromarray(picture).save(tmp_path / "in/b.webp")
    Image.fromarray(picture).save(tmp_path / "in/c.gif")
    redraw_files([tmp_path / "in"], tmp_path / "pairs", negative, look=Look(side_by_side=True))
    pair = images.read(tmp_path / "pairs/a.png")
    assert pair.shape == (12, 17 * 2 + GAP_PX, 3)
    np.testing.assert_array_equal(pair[:, :17], picture)
    np.testing.assert_array_equal(pair[:, -17:], negative(picture))
    redraw_files([tmp_path / "in"], tmp_path / "same", negative, format="same")
    assert results_in(tmp_path / "same") == ["a.png", "b.webp", "c.png"]
    redraw_files([tmp_path / "in"], tmp_path / "jpg", negative, format="jpg")
    assert results_in(tmp_path / "jpg") == ["a.jpg", "b.jpg", "c.jpg"]


def test_faults_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    put(tmp_path / "a.png")
    for inputs, out, words in [
        ([tmp_path / "nowhere.png"], tmp_path / "out", "does not exist"),
        ([tmp_path / "empty"], tmp_path / "out", "holds no pictures"),
        ([tmp_path / "a.png"], tmp_path / "a.png", "is a file"),
    ]:
        with pytest.raises(UserError, match=words):
            redraw_files(inputs, out, negative)
    assert results_in(tmp_path) == ["a.png"]


def test_a_disk_that_refuses_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(20):
        put(tmp_path / f"in/{index}.png", size=(30 + index, 20))
    drawn = []

    def draw(picture: Picture) -> Picture:
        drawn.append(picture)
        return picture

    def full(path: Path, picture: Picture, exif: bytes | None) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(images, "write", full)
    with pytest.raises(UserError, match="No space left"):
        redraw_files([tmp_path / "in"], tmp_path / "out", draw)
    assert len(drawn) < 5


def test_formats_written_keep_transparency_or_lay_it_on_white(tmp_path: Path) -> None:
    alpha = np.zeros((12, 17), np.uint8)
    alpha[:, 9:] = 255
    Image.fromarray(np.dstack([noise(12, 17), alpha])).save(tmp_path / "a.png")
    for format in ("png", "webp", "avif", "tif"):
        redraw_files([tmp_path / "a.png"], tmp_path / format, negative, format=format)
        photo = images.read_photo(next((tmp_path / format).glob(f"a.{format}")))
        assert photo.alpha is not None and photo.picture.shape == (12, 17, 3)
        np.testing.assert_array_equal(photo.alpha, alpha)
    np.testing.assert_array_equal(images.read(tmp_path / "png/a.png")[:, 9:], negative(noise(12, 17))[:, 9:])
    redraw_files([tmp_path / "a.png"], tmp_path / "jpg", negative, format="jpg", look=Look(side_by_side=True))
    assert images.read(tmp_path / "jpg/a.jpg")[:, :7].min() > 200


def test_strength_and_colour(tmp_path: Path) -> None:
    picture = put(tmp_path / "a.png")
    redraw_files([tmp_path / "a.png"], tmp_path / "none", negative, look=Look(strength=0))
    np.testing.assert_array_equal(images.read(tmp_path / "none/a.png"), picture)
    redraw_files([tmp_path / "a.png"], tmp_path / "half", negative, look=Look(strength=0.5))
    assert np.abs(images.read(tmp_path / "half/a.png").astype(int) - 127.5).max() <= 1
    redraw_files([tmp_path / "a.png"], tmp_path / "kept", negative, look=Look(keep_color=True))
    np.testing.assert_array_equal(images.read(tmp_path / "kept/a.png"), arrays.keep_color(picture, negative(picture)))


class Counting:
    """A model that tells who it is and what it was shown."""

    def __init__(self, identity: str = "one") -> None:
        self.identity = identity
        self.shown: list[tuple[int, ...]] = []

    def batch(self, pictures: Sequence[Picture]) -> list[Picture]:
        self.shown.append((len(pictures), *pictures[0].shape[:2]) if pictures else (0,))
        return [negative(picture) for picture in pictures]


def count(counting: Counting) -> int:
    return sum(one[0] for one in counting.shown)


def test_what_is_done_is_not_done_again_by_content(tmp_path: Path) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    for seed, name in enumerate(["a.png", "b.png", "sub/c.png"]):
        put(folder / name, seed)

    def again(model: str = "one", look: Look | None = None, overwrite: bool = False) -> tuple[int, int]:
        counting = Counting(model)
        report = redraw_files([folder], out, counting, look=look or Look(), overwrite=overwrite)
        assert len(report.done) == count(counting)
        return len(report.done), len(report.skipped)

    assert again() == (3, 0)
    assert again() == (0, 3)
    (folder / "a.png").touch()
    assert again() == (0, 3)
    (out / "b.png").unlink()  # as if the run had been stopped before
    put(folder / "d.png", 9)
    assert again() == (2, 2)
    with (out / JOURNAL).open("a") as file:
        file.write('{"result": "a.p')  # a power cut
    (out / "d.png").unlink()
    assert again() == (1, 3)
    assert again() == (0, 4)
    put(folder / "a.png", 77)
    images.write(out / "b.png", noise(12, 17, 5))  # somebody painted over it
    for changed in ({"model": "two"}, {"look": Look(strength=0.5)}, {}):
        with pytest.raises(UserError, match="exists already"):
            again(**changed)
    assert again(overwrite=True) == (4, 0)
    assert again() == (0, 4)


def test_a_stylizer_s_identity_is_of_its_weights_and_shape(stylizer: Stylizer) -> None:
    assert stylizer.identity == Stylizer(stirred(), "cpu").identity
    assert (
        len({stylizer.identity, Stylizer(stirred("none"), "cpu").identity, Stylizer(build_generator("tiny"), "cpu").identity})
        == 3
    )


def test_neighbours_of_one_size_go_together_in_order(tmp_path: Path) -> None:
    sizes = [(12, 17)] * 5 + [(20, 10)] * 2 + [(12, 17), (900, 900), (900, 900)]
    pictures = [put(tmp_path / f"in/{index:02d}.png", index, size) for index, size in enumerate(sizes)]
    (tmp_path / "in/03.png").write_bytes(b"none")
    counting = Counting()
    report = redraw_files([tmp_path / "in"], tmp_path / "out", counting)
    assert [one for one in counting.shown if one[0]] == [
        (3, 12, 17), (1, 12, 17), (2, 20, 10), (1, 12, 17), (1, 900, 900), (1, 900, 900),
    ]  # fmt: skip
    assert [photo.name for photo, _ in report.broken] == ["03.png"]
    for index, picture in enumerate(pictures):
        if index != 3:
            np.testing.assert_array_equal(images.read(tmp_path / f"out/{index:02d}.png"), negative(picture))


def test_patterns(tmp_path: Path) -> None:
    for seed, name in enumerate(["a.png", "b.jpg", "notes.txt", "sub/c.png", "we[i]rd.png"]):
        if name.endswith("txt"):
            (tmp_path / "in/notes.txt").write_text("none")
        else:
            put(tmp_path / "in" / name, seed)
    for number, (pattern, expected) in enumerate(
        {"*.png": ["a.png", "we[i]rd.png"], "we[i]rd.png": ["we[i]rd.png"], "**/*.png": ["a.png", "c.png", "we[i]rd.png"],
         "?.*": ["a.png", "b.png"], "s*": ["c.png"]}.items()
    ):  # fmt: skip
        out = tmp_path / f"out{number}"
        redraw_files([tmp_path / "in" / pattern], out, negative)
        assert results_in(out) == expected, pattern
    with pytest.raises(UserError, match="matches no picture"):
        redraw_files([tmp_path / "in/*.gif"], tmp_path / "out", negative)


# Memory


def one_fill() -> nn.Module:
    """What waits for fills takes most of the memory of strips."""
    torch.manual_seed(0)
    network = Generator(replace(TINY, fills=1))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def test_in_strips_a_picture_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, small = (Stylizer(one_fill(), "cpu", memory_mb=memory) for memory in (1000, 5))
    photo = arrays.resize(noise(20, 7), 60, 400)
    redrawn: list[int] = []
    real = strips.redraw

    def watched(*arguments: Any) -> None:
        redrawn.append(arguments[5])
        real(*arguments)

    monkeypatch.setattr(strips, "redraw", watched)
    expected = whole(photo)
    assert redrawn == []
    for spilling in (False, True):
        if spilling:
            monkeypatch.setattr("pipeline.inference.stylizer.Room", lambda limit, device: Room(0, device))
        assert np.abs(small.batch([photo, photo])[1].astype(int) - expected).max() <= 1
    assert len(redrawn) == 4 and set(redrawn) <= set(STEPS)


def test_memory_that_is_too_little_says_so() -> None:
    with pytest.raises(UserError, match=r"1 MB are too little for a picture 500 pixels wide, which takes \d+ MB: raise"):
        Stylizer(stirred(), "cpu", memory_mb=1)(noise(500, 500))


def test_a_disk_without_room_for_maps_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    monkeypatch.setattr("pipeline.inference.stylizer.Room", lambda limit, device: Room(0, device))
    with pytest.raises(UserError, match=r"no room for what memory does not hold of 60x400 \(No space left.*TMPDIR"):
        Stylizer(one_fill(), "cpu", memory_mb=5)(noise(400, 60))
