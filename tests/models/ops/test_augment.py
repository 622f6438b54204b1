"""DiffAugment: augmentations change what their names say, equally for equal random numbers, and pass gradients."""

import numpy as np
import pytest
import torch

from models.ops.augment import CHANCES, augment

PICTURES = torch.rand(2, 3, 16, 24) * 2 - 1
MIDDLE = torch.full((2, CHANCES), 0.5)


def test_no_way_and_neutral_chances_change_nothing() -> None:
    assert augment(PICTURES, torch.rand(2, CHANCES), []) is PICTURES
    assert torch.allclose(augment(PICTURES, MIDDLE, ["color", "translation"]), PICTURES, atol=1e-6)


def test_color_is_as_written() -> None:
    chances = MIDDLE.clone()
    chances[0, 0], chances[1, 1] = 0.75, 0.0
    found = augment(PICTURES, chances, ["color"])
    assert torch.allclose(found[0], PICTURES[0] + 0.25, atol=1e-6)
    assert torch.allclose(found[1], PICTURES[1].mean(0, keepdim=True).expand(3, -1, -1), atol=1e-6)


@pytest.mark.parametrize(("down", "right"), [(0.0, 0.0), (0.99, 0.3), (0.5, 0.99)])
def test_translation_moves_by_whole_pixels(down: float, right: float) -> None:
    chances = MIDDLE.clone()
    chances[1, 3:5] = torch.tensor([down, right])
    y, x = int(down * 5) - 2, int(right * 7) - 3
    expected = np.zeros((3, 16, 24), np.float32)
    whole = PICTURES[1].numpy()
    expected[:, max(y, 0) : 16 + min(y, 0), max(x, 0) : 24 + min(x, 0)] = whole[
        :, max(-y, 0) : 16 - max(y, 0), max(-x, 0) : 24 - max(x, 0)
    ]
    found = augment(PICTURES, chances, ["translation"])
    assert np.array_equal(found[1].numpy(), expected) and torch.equal(found[0], PICTURES[0])


def test_cutout_leaves_the_rest_and_gradients_pass() -> None:
    pictures = PICTURES.clone().requires_grad_()
    found = augment(pictures, MIDDLE, ["cutout"])
    assert (found == 0).float().mean() == pytest.approx(7 / 16 * 11 / 24, abs=1e-6)
    total = augment(pictures, torch.rand(2, CHANCES), ["color", "translation", "cutout"]).sum()
    (gradient,) = torch.autograd.grad(total, pictures)
    assert gradient.abs().sum() > 0
    with pytest.raises(ValueError, match="unknown way 'flip'"):
        augment(pictures, MIDDLE, ["flip"])  # type: ignore[list-item]
