"""Each crop is shown once an epoch, a view depends on its number alone, and cuts equal plain slicing and OpenCV's resizing."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset.views import CropOrder, CropViews, extract_views
from pipeline.media import tensors
from pipeline.networks import devices
from tests.support.random_crops import random_crops

CPU = torch.device("cpu")
RESIZED = CropOrder(3, "photo", 4, 24, 16, (0.9, 1.1))


@given(count=st.integers(1, 40), epoch=st.integers(0, 5), seed=st.integers(0, 2**32 - 1))
def test_every_crop_once_an_epoch(count: int, epoch: int, seed: int) -> None:
    views = CropOrder(seed, "photo", count, 8, 8).views(epoch * count, count)
    assert sorted(views.crop_index.tolist()) == list(range(count))


@given(
    count=st.integers(1, 9),
    start=st.integers(0, 100),
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=4),
)
def test_a_view_does_not_depend_on_how_views_are_batched(count: int, start: int, sizes: list[int]) -> None:
    order = CropOrder(1, "photo", count, 12, 8)
    whole = order.views(start, sum(sizes))
    first = 0
    for size in sizes:
        part = order.views(start + first, size)
        for name in ("crop_index", "left", "top", "mirrored"):
            assert (getattr(part, name) == getattr(whole, name)[first : first + size]).all()
        first += size


def test_order_differs_by_epoch_name_and_seed_and_all_offsets_occur() -> None:
    order = CropOrder(1, "photo", 50, 12, 8)
    first, second = order.views(0, 50), order.views(50, 50)
    assert first.crop_index.tolist() != second.crop_index.tolist()
    assert first.crop_index.tolist() != CropOrder(1, "anime", 50, 12, 8).views(0, 50).crop_index.tolist()
    assert first.crop_index.tolist() != CropOrder(2, "photo", 50, 12, 8).views(0, 50).crop_index.tolist()
    many = order.views(0, 1000)
    assert set(many.left.tolist()) == set(many.top.tolist()) == set(range(5))
    assert 400 < many.mirrored.sum() < 600


def test_views_equal_slices() -> None:
    whole = random_crops(4)
    views = CropOrder(3, "photo", 4, 12, 7).views(0, 20)
    found = extract_views(whole.pixels, views, CPU)
    assert found.shape == (20, 3, 7, 7)
    assert found.is_contiguous(memory_format=devices.layout(found.device))
    for index, (crop, left, top, mirrored) in enumerate(zip(*views[:4], strict=True)):
        slow = whole.pixels[crop, top : top + 7, left : left + 7].numpy()
        slow = slow[:, ::-1] if mirrored else slow
        assert (tensors.to_pixels(found)[index].numpy() == slow).all()


def test_pixels_reach_the_model_from_minus_one_to_one() -> None:
    pixels = torch.tensor([0, 255, 0], dtype=torch.uint8).expand(1, 8, 8, 3).contiguous()
    views = CropViews(np.array([0]), np.array([0]), np.array([0]), np.array([False]), 8)
    assert extract_views(pixels, views, CPU)[0, :, 0, 0].tolist() == [-1.0, 1.0, -1.0]


@pytest.mark.parametrize(("smallest", "largest"), [(0.9, 1.1), (0.5, 0.5), (1.2, 2.0)])
def test_resized_views_equal_opencvs_linear_interpolation(smallest: float, largest: float) -> None:
    whole, order = random_crops(4, 24), replace(RESIZED, resize=(smallest, largest))
    views = order.views(0, 60)
    assert views.sides is not None and views.sides.shape == (60, 2)
    for index, found in enumerate(tensors.to_pixels(extract_views(whole.pixels, views, CPU)).numpy()):
        (width, height), left, top = views.sides[index], views.left[index], views.top[index]
        part = whole.pixels[views.crop_index[index], top : top + height, left : left + width].numpy()
        assert part.shape == (height, width, 3), "the cut lies in the crop"
        expected = cv2.resize(part.astype(np.float64), (16, 16), interpolation=cv2.INTER_LINEAR)
        expected = expected[:, ::-1] if views.mirrored[index] else expected
        assert np.abs(found - expected).max() <= 0.501, "rounded, and nothing else"


def test_width_and_height_are_drawn_independently_within_the_crop() -> None:
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
    assert plain.sides is None, "nothing is resized by default"
