"""Batches: every crop once an epoch, the counter decides all, twins are cut alike, faults say the remedy."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.core.manifest import Row
from pipeline.dataset import loader
from pipeline.dataset.loader import BatchLoader, CropOrder, CropSet, CropViews
from pipeline.media import images, tensors
from pipeline.networks import devices

CPU = torch.device("cpu")


def crops(count: int, side: int = 12, seed: int = 0) -> CropSet:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), np.uint8)
    return CropSet(torch.from_numpy(pixels), "")


def lay_out(project: Path, count: int = 3, side: int = 12) -> Path:
    """A data folder with so many anime and photo crops in train, and the twins of the anime, inverted."""
    rows, twins = [], []
    for domain in ("anime", "photo"):
        for index, pixels in enumerate(crops(count, side, seed=5).pixels.numpy()):
            row = Row.model_validate(
                {
                    "id": f"{domain}-{index}",
                    "domain": domain,
                    "source": domain,
                    "file": f"data/crop/{domain}/{domain}-{index}.png",
                    "width_px": side,
                    "height_px": side,
                    "split": "train",
                }
            )
            (project / str(row.file)).parent.mkdir(parents=True, exist_ok=True)
            images.write(project / str(row.file), pixels)
            rows.append(row)
            if domain == "anime":
                twins.append(row.model_copy(update={"file": f"data/edge_smooth/pictures/anime/{row.id}.png"}))
                (project / "data/edge_smooth/pictures/anime").mkdir(parents=True, exist_ok=True)
                images.write(project / str(twins[-1].file), 255 - pixels)
    (project / "data/split").mkdir()
    manifest.write_by_domain(project / "data/split", rows)
    (project / "data/edge_smooth/about/anime").mkdir(parents=True)
    manifest.write(project / "data/edge_smooth/about/anime", twins)
    return project / "data"


@given(count=st.integers(1, 40), epoch=st.integers(0, 5), seed=st.integers(0, 2**32 - 1))
def test_every_square_once_an_epoch(count: int, epoch: int, seed: int) -> None:
    views = CropOrder(seed, "photo", count, 8, 8).views(epoch * count, count)
    assert sorted(views.crop_index.tolist()) == list(range(count))


@given(
    count=st.integers(1, 9),
    start=st.integers(0, 100),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
)
def test_a_showing_depends_on_its_number_only(count: int, start: int, sizes: list[int]) -> None:
    order = CropOrder(1, "photo", count, 12, 8)
    whole = order.views(start, sum(sizes))
    place = 0
    for size in sizes:
        part = order.views(start + place, size)
        for name in ("crop_index", "left", "top", "mirrored"):
            assert (getattr(part, name) == getattr(whole, name)[place : place + size]).all()
        place += size


def test_epochs_and_sets_differ_in_order_and_all_places_are_used() -> None:
    order = CropOrder(1, "photo", 50, 12, 8)
    first, second = order.views(0, 50), order.views(50, 50)
    assert first.crop_index.tolist() != second.crop_index.tolist()
    assert first.crop_index.tolist() != CropOrder(1, "anime", 50, 12, 8).views(0, 50).crop_index.tolist()
    assert first.crop_index.tolist() != CropOrder(2, "photo", 50, 12, 8).views(0, 50).crop_index.tolist()
    many = order.views(0, 1000)
    assert set(many.left.tolist()) == set(many.top.tolist()) == set(range(5))
    assert 400 < many.mirrored.sum() < 600


RESIZED = CropOrder(3, "photo", 4, 24, 16, (0.9, 1.1))


@pytest.mark.parametrize(("least", "largest"), [(0.9, 1.1), (0.5, 0.5), (1.2, 2.0)])
def test_resized_cuts_are_what_opencv_makes_of_them(least: float, largest: float) -> None:
    whole, order = crops(4, 24), replace(RESIZED, resize=(least, largest))
    views = order.views(0, 60)
    assert views.sides is not None and views.sides.shape == (60, 2)
    for index, found in enumerate(tensors.to_pixels(loader.cut(whole.pixels, views, CPU)).numpy()):
        (width, height), left, top = views.sides[index], views.left[index], views.top[index]
        part = whole.pixels[views.crop_index[index], top : top + height, left : left + width].numpy()
        assert part.shape == (height, width, 3), "the cut lies in the crop"
        expected = cv2.resize(part.astype(np.float64), (16, 16), interpolation=cv2.INTER_LINEAR)
        expected = expected[:, ::-1] if views.mirrored[index] else expected
        assert np.abs(found - expected).max() <= 0.501, "rounded, and nothing else"


def test_sides_are_drawn_by_themselves_and_a_showing_depends_on_its_number_only() -> None:
    many = RESIZED.views(0, 2000)
    assert many.sides is not None
    wide, high = many.sides.T
    assert set(wide.tolist()) == set(high.tolist()) == set(range(14, 19)), "0.9 to 1.1 times 16"
    assert abs(np.corrcoef(wide, high)[0, 1]) < 0.1 and 900 < many.mirrored.sum() < 1100
    assert set(many.left[wide == 14].tolist()) == set(range(11)) and (many.left + wide).max() == 24
    part = RESIZED.views(700, 3)
    for name in ("crop_index", "left", "top", "mirrored", "sides"):
        assert (getattr(part, name) == getattr(many, name)[700:703]).all()
    tight = CropOrder(3, "photo", 4, 16, 16, (0.9, 1.1)).views(0, 500)
    assert tight.sides is not None and tight.sides.max() == 16, "never more than the crop"
    plain = CropOrder(3, "photo", 4, 24, 16).views(0, 9)
    assert plain.sides is None, "as ever where nothing is resized"


def test_targets_and_twins_are_resized_alike() -> None:
    photos, anime = crops(3), crops(3, seed=9)
    source = BatchLoader(
        photos, anime, CropSet(255 - anime.pixels, ""), 1, 8, 8, CPU, CropSet(255 - photos.pixels, ""), resize=(0.9, 1.1)
    )
    batch = source.at(16)
    assert batch.anime is not None and batch.smooth is not None
    for one, other in ((batch.photo, batch.target), (batch.anime, batch.smooth)):
        assert one.shape == (8, 3, 8, 8) and torch.allclose(one, -other, atol=1.01 / 127.5)


def test_cuts_are_what_slicing_gives() -> None:
    whole = crops(4)
    views = CropOrder(3, "photo", 4, 12, 7).views(0, 20)
    found = loader.cut(whole.pixels, views, CPU)
    assert found.shape == (20, 3, 7, 7)
    assert found.is_contiguous(memory_format=devices.layout(found.device))
    for index, (crop, left, top, mirrored) in enumerate(zip(*views[:4], strict=True)):
        slow = whole.pixels[crop, top : top + 7, left : left + 7].numpy()
        slow = slow[:, ::-1] if mirrored else slow
        assert (tensors.to_pixels(found)[index].numpy() == slow).all()


def test_twins_are_cut_as_their_anime() -> None:
    anime = crops(5)
    twins = CropSet(255 - anime.pixels, "")
    source = BatchLoader(crops(3, seed=9), anime, twins, seed=1, batch=8, crop_px=5, device=CPU)
    for seen in (0, 8, 16):
        batch = source.at(seen)
        assert batch.anime is not None and batch.smooth is not None
        assert torch.allclose(batch.anime, -batch.smooth, atol=1e-6)


def test_targets_are_cut_as_their_photos() -> None:
    photos = crops(4)
    source = BatchLoader(photos, None, None, 1, 8, 5, CPU, target=CropSet(255 - photos.pixels, ""))
    for seen in (0, 8):
        batch = source.at(seen)
        assert torch.allclose(batch.photo, -batch.target, atol=1e-6)
    alone = BatchLoader(photos, None, None, 1, 8, 5, CPU).at(0)
    assert torch.equal(alone.photo, alone.target)


def test_other_photos_do_not_reshuffle_the_anime() -> None:
    anime = crops(5)
    few = BatchLoader(crops(3), anime, None, seed=1, batch=4, crop_px=8, device=CPU)
    many = BatchLoader(crops(7), anime, None, seed=1, batch=4, crop_px=8, device=CPU)
    one, other = few.at(8).anime, many.at(8).anime
    assert one is not None and other is not None and torch.equal(one, other)


def test_pixels_reach_the_model_from_minus_one_to_one() -> None:
    pixels = torch.tensor([0, 255, 0], dtype=torch.uint8).expand(1, 8, 8, 3).contiguous()
    views = CropViews(np.array([0]), np.array([0]), np.array([0]), np.array([False]), 8)
    assert loader.cut(pixels, views, CPU)[0, :, 0, 0].tolist() == [-1.0, 1.0, -1.0]


def test_loading_gives_the_files_in_order(tmp_path: Path) -> None:
    data = lay_out(tmp_path)
    rows, photos = loader.load_split(data, "photo", "train")
    assert [row.id for row in rows] == ["photo-0", "photo-1", "photo-2"]
    assert torch.equal(photos.pixels, crops(3, seed=5).pixels)
    rows, anime = loader.load_split(data, "anime", "train")
    assert torch.equal(loader.load_twins(data, rows, "edge_smooth").pixels, 255 - anime.pixels)


def test_some_are_spread_over_all(tmp_path: Path) -> None:
    rows, _ = loader.load_split(lay_out(tmp_path, count=9), "photo", "train", at_most=3)
    assert [row.id for row in rows] == ["photo-0", "photo-3", "photo-6"]


def test_digest_follows_pixels_and_not_files(tmp_path: Path) -> None:
    data = lay_out(tmp_path)
    before = loader.load_split(data, "photo", "train")[1].digest
    file = tmp_path / "data/crop/photo/photo-1.png"
    picture = images.read(file)
    file.unlink()
    images.write(file, picture)
    assert loader.load_split(data, "photo", "train")[1].digest == before
    picture[0, 0, 0] ^= 1
    images.write(file, picture)
    assert loader.load_split(data, "photo", "train")[1].digest != before


def test_an_empty_split_says_what_to_do(tmp_path: Path) -> None:
    data = lay_out(tmp_path)
    with pytest.raises(UserError, match=r"no photo crops in val: .*raise split\.val"):
        loader.load_split(data, "photo", "val")
    manifest.write_by_domain(data / "split", [])
    with pytest.raises(UserError, match=r"no anime crops in train: name more films .*lower split\.val"):
        loader.load_split(data, "anime", "train")


def test_missing_and_misshapen_pictures_are_faults(tmp_path: Path) -> None:
    data = lay_out(tmp_path)
    rows, _ = loader.load_split(data, "anime", "train")
    manifest.write(data / "edge_smooth/about/anime", rows[:1])
    with pytest.raises(UserError, match=r"no twin of anime-1 .*dvc repro"):
        loader.load_twins(data, rows, "edge_smooth")
    images.write(tmp_path / "data/crop/photo/photo-1.png", np.zeros((12, 9, 3), np.uint8))
    with pytest.raises(UserError, match=r"photo-1\.png is 9x12, not 12x12: .*dvc repro"):
        loader.load_split(data, "photo", "train")
    (tmp_path / "data/crop/anime/anime-2.png").unlink()
    with pytest.raises(UserError, match=r"anime-2\.png does not exist"):
        loader.load_split(data, "anime", "train")


def test_turns_of_the_discriminator_go_through_the_anime_in_order() -> None:
    """Three turns a step show what one turn shows in three steps; the generator's photos are those of one turn."""
    photos, anime = crops(5), crops(6, seed=3)
    twins = CropSet(255 - anime.pixels, "")
    once = BatchLoader(photos, anime, twins, 1, 4, 5, CPU, augmented=True)
    thrice = BatchLoader(photos, anime, twins, 1, 4, 5, CPU, augmented=True, turns=3)
    assert list(once.before(4)) == []
    for step in range(3):
        shown = [*thrice.before(4 * step), thrice.at(4 * step)]
        assert len(shown) == 3 and torch.equal(shown[-1].photo, once.at(4 * step).photo)
        assert not torch.equal(shown[0].photo, shown[1].photo)
        for turn, batch in enumerate(shown):
            alone = once.at(4 * (3 * step + turn))
            for mine, theirs in ((batch.anime, alone.anime), (batch.smooth, alone.smooth), (batch.chances, alone.chances)):
                assert mine is not None and theirs is not None and torch.equal(mine, theirs)
