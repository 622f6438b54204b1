"""XDoG lines: the published formula, agreement with the filter of pseudo-targets, and gradients."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from models.ops import xdog
from models.ops.xdog import draw_lines, line_response
from pipeline.filters.pseudo_target import dog_lines
from pipeline.media import tensors
from pipeline.media.images import Picture
from tests.conftest import scene


def halves(left: int, right: int, side: int = 48) -> Picture:
    picture = np.full((side, side, 3), left, np.uint8)
    picture[:, side // 2 :] = right
    return picture


def model(picture: Picture) -> torch.Tensor:
    return tensors.from_pixels(torch.from_numpy(picture)[None]).double()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 30), (40, 56)])
def test_line_response_is_the_difference_of_gaussians_of_the_paper(height: int, width: int) -> None:
    picture = scene(4, 64, 48)[:height, :width]
    luma = (picture.astype(np.float64) / 255) @ np.array(xdog.LUMA)
    blurs = [
        gaussian_filter(luma, sigma, mode="nearest", radius=int(np.ceil(3 * sigma)))
        for sigma in (xdog.SIGMA_PX, xdog.SIGMA_RATIO * xdog.SIGMA_PX)
    ]
    expected = np.clip((blurs[1] - blurs[0] - xdog.LOW_THRESHOLD) / (xdog.HIGH_THRESHOLD - xdog.LOW_THRESHOLD), 0, 1)
    assert line_response(model(picture))[0, 0].numpy() == pytest.approx(expected, abs=1e-6)


def test_pseudo_targets_have_the_lines_that_the_network_draws() -> None:
    picture = scene(7, 160, 120)
    own, drawn = dog_lines(picture), line_response(model(picture))[0, 0].numpy()
    assert own.max() == 1 and (own > 0).mean() > 0.02
    np.testing.assert_allclose(own[own > 0], drawn[own > 0], atol=1e-4)
    # Pseudo-targets lack only small specks.
    _, names = cv2.connectedComponents((drawn > 1e-4).astype(np.uint8), connectivity=8)
    left_out = np.unique(names[(drawn > 1e-3) & (own == 0)])
    assert all((names == name).sum() < 30 for name in left_out)


def test_the_network_draws_lines_and_no_specks() -> None:
    picture = np.full((60, 60, 3), 180, np.uint8)
    picture[10:12, 10:12] = 60
    picture[40:42, 5:55] = 60
    found, drawn = line_response(model(picture))[0, 0], xdog.line_mask(model(picture))[0, 0]
    assert found[10:12, 10:12].max() == 1 and drawn[:20].max() < 0.3
    assert torch.equal(drawn[30:, 8:52], found[30:, 8:52])
    assert (drawn <= found).all()


@given(st.integers(0, 10**6), st.integers(1, 24), st.integers(1, 24), st.floats(-12, 12))
def test_lines_only_darken_and_stay_in_range(seed: int, height: int, width: int, logit: float) -> None:
    picture = torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    drawn = draw_lines(picture, picture.flip(0), torch.full((2, 2, height, width), logit))
    assert (drawn <= picture).all() and (drawn >= -1).all()


@pytest.mark.parametrize("channel", [0, 1])
def test_logits_set_the_darkness_and_gradients_reach_all_inputs(channel: int) -> None:
    lined, bare = model(halves(60, 200)).requires_grad_(), model(halves(120, 120)).requires_grad_()
    picture, photo = (lined, bare) if channel == 0 else (bare, lined)

    def logits_of(value: float) -> torch.Tensor:
        logits = torch.full((1, 2, 48, 48), -20.0, dtype=torch.float64)
        logits[:, channel] = value
        return logits.requires_grad_()

    assert torch.allclose(draw_lines(picture, photo, logits_of(-20.0)), picture, atol=1e-6)
    assert float(draw_lines(picture, photo, logits_of(20.0)).detach().min()) == pytest.approx(-1, abs=1e-6)
    other = torch.full((1, 2, 48, 48), 20.0, dtype=torch.float64)
    other[:, channel] = -20.0
    assert torch.allclose(draw_lines(picture, photo, other), picture, atol=1e-6), "the other channel has no line to follow"
    logits = logits_of(0.0)
    draw_lines(picture, photo, logits).square().mean().backward()  # type: ignore[no-untyped-call]
    assert lined.grad is not None and logits.grad is not None and picture.grad is not None
    assert (logits.grad[:, channel] != 0).any() and (lined.grad != 0).any() and (picture.grad != 0).float().mean() > 0.99
