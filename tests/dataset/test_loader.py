"""Batches: paired pictures are cut alike, sets do not affect each other's order, extra discriminator steps see other anime."""

import torch

from pipeline.dataset.crop_sets import CropSet
from pipeline.dataset.loader import Batch, BatchLoader
from tests.support.random_crops import random_crops

CPU = torch.device("cpu")


def inverted(crops: CropSet) -> CropSet:
    return CropSet(255 - crops.pixels, "")


def test_targets_and_edge_smoothed_pictures_are_resized_alike() -> None:
    photos, anime = random_crops(3), random_crops(3, seed=9)
    loader = BatchLoader(photos, anime, inverted(anime), 1, 8, 8, CPU, inverted(photos), resize=(0.9, 1.1))
    batch = loader.batch_at(16)
    assert batch.anime is not None and batch.edge_smoothed is not None
    for one, other in ((batch.photo, batch.target), (batch.anime, batch.edge_smoothed)):
        assert one.shape == (8, 3, 8, 8) and torch.allclose(one, -other, atol=1.01 / 127.5)


def test_edge_smoothed_pictures_are_cut_like_their_anime() -> None:
    anime = random_crops(5)
    loader = BatchLoader(random_crops(3, seed=9), anime, inverted(anime), seed=1, batch=8, crop_px=5, device=CPU)
    for seen in (0, 8, 16):
        batch = loader.batch_at(seen)
        assert batch.anime is not None and batch.edge_smoothed is not None
        assert torch.allclose(batch.anime, -batch.edge_smoothed, atol=1e-6)


def test_targets_are_cut_like_their_photos() -> None:
    photos = random_crops(4)
    loader = BatchLoader(photos, None, None, 1, 8, 5, CPU, target=inverted(photos))
    for seen in (0, 8):
        batch = loader.batch_at(seen)
        assert torch.allclose(batch.photo, -batch.target, atol=1e-6)
    alone = BatchLoader(photos, None, None, 1, 8, 5, CPU).batch_at(0)
    assert torch.equal(alone.photo, alone.target)


def test_more_photos_do_not_reshuffle_the_anime() -> None:
    anime = random_crops(5)
    few = BatchLoader(random_crops(3), anime, None, seed=1, batch=4, crop_px=8, device=CPU)
    many = BatchLoader(random_crops(7), anime, None, seed=1, batch=4, crop_px=8, device=CPU)
    one, other = few.batch_at(8).anime, many.batch_at(8).anime
    assert one is not None and other is not None and torch.equal(one, other)


def test_each_photo_has_a_style_picture_that_depends_on_its_number_alone() -> None:
    whole = BatchLoader(random_crops(3), None, None, 1, 8, 5, CPU, style_pictures=3).batch_at(8).style_index
    halves = [BatchLoader(random_crops(3), None, None, 1, 4, 5, CPU, style_pictures=3).batch_at(n).style_index for n in (8, 12)]
    assert whole is not None and whole.shape == (8,) and set(whole.tolist()) <= {0, 1, 2} and len(set(whole.tolist())) > 1
    assert torch.equal(whole, torch.cat([half for half in halves if half is not None]))
    assert BatchLoader(random_crops(3), None, None, 1, 8, 5, CPU).batch_at(8).style_index is None


def test_extra_discriminator_steps_go_through_the_anime_in_order() -> None:
    """Three steps per generator step show the anime that one shows in three; the generator's photos are those of one."""
    photos, anime = random_crops(5), random_crops(6, seed=3)
    once = BatchLoader(photos, anime, inverted(anime), 1, 4, 5, CPU, augmented=True)
    thrice = BatchLoader(photos, anime, inverted(anime), 1, 4, 5, CPU, augmented=True, discriminator_steps=3)
    assert list(once.discriminator_batches(4)) == []
    for step in range(3):
        batches = [*thrice.discriminator_batches(4 * step), thrice.batch_at(4 * step)]
        assert len(batches) == 3 and torch.equal(batches[-1].photo, once.batch_at(4 * step).photo)
        assert not torch.equal(batches[0].photo, batches[1].photo)
        for index, batch in enumerate(batches):
            alone = once.batch_at(4 * (3 * step + index))
            for name in ("anime", "edge_smoothed", "augmentation_draws"):
                assert torch.equal(getattr(batch, name), getattr(alone, name))


def test_a_batch_is_divided_field_by_field() -> None:
    numbers = torch.arange(4.0).view(4, 1, 1, 1)
    parts = Batch(numbers, None, None, -numbers).chunk(2)
    assert [part.photo.flatten().tolist() for part in parts] == [[0, 1], [2, 3]]
    assert all(torch.equal(part.photo, -part.target) and part.anime is None for part in parts)


def test_the_part_seen_moves_from_batch_to_batch_and_belongs_to_its_number() -> None:
    photos = random_crops(4)
    loader = BatchLoader(photos, None, None, 1, 4, 8, CPU, view_margin_px=3)
    corners = set()
    for seen in range(0, 80, 4):
        batch = loader.batch_at(seen)
        again = loader.batch_at(seen).view
        assert batch.view is not None and again is not None and batch.view.shape == (2, 5) and torch.equal(batch.view, again)
        top, left = batch.view[:, 0].tolist()
        assert torch.equal(batch.seen(batch.photo), batch.photo[..., top : top + 5, left : left + 5])
        corners.add((top, left))
        assert all(part.view is batch.view and len(part.photo) == 2 for part in batch.chunk(2))
    assert len(corners) > 8 and {min(c) for c in corners} | {max(c) for c in corners} <= {0, 1, 2, 3}
    whole = BatchLoader(photos, None, None, 1, 4, 8, CPU).batch_at(0)
    assert whole.view is None and whole.seen(whole.photo) is whole.photo
