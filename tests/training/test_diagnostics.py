"""Guards: each finds its fault and nothing else; rates follow their schedule."""

import math

import numpy as np
import pytest
from torch import nn
from torch.optim import Adam

from pipeline.params.training import DiagnosticsParams
from pipeline.training import diagnostics, schedules
from tests.training.test_trainer import section

LIMITS = DiagnosticsParams(
    one_color_levels=2.0, same_levels=1.0, discriminator_right=0.98, discriminator_loss=0.02, discriminator_share=0.25
)


def test_outputs_are_judged() -> None:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 250, (8, 8, 3), np.uint8) for _ in range(2)]
    near = [photo.copy() for photo in photos]
    near[0][0, 0] += 3
    assert diagnostics.judge_output(photos, near, 0.2, LIMITS) == []
    assert diagnostics.judge_output(photos, near, 0.9, LIMITS) == ["same_as_photo"]
    assert diagnostics.judge_output(photos, near, 0.9, LIMITS.model_copy(update={"same_levels": 0.0})) == []
    assert diagnostics.judge_output(photos, [photo + 5 for photo in photos], 0.9, LIMITS) == []
    plain = [np.full_like(photo, 7) for photo in photos]
    assert diagnostics.judge_output(photos, plain, 0.0, LIMITS) == ["one_colour"]
    assert (
        set(diagnostics.told(["one_colour"])) == set(diagnostics.ADVICE) and diagnostics.told(["one_colour"])["one_colour"] == 1
    )


def points(*values: float) -> list[tuple[int, float]]:
    return [(100 * (index + 1), value) for index, value in enumerate(values)]


@pytest.mark.parametrize(
    ("right", "loss", "found"),
    [
        ([], [], []),
        ([1.0, 1.0], [0.5, 0.5], []),
        ([0.5, 1.0, 1.0, 1.0, 0.99], [1.0] * 5, ["discriminator_won"]),
        ([1.0, 1.0, 1.0, 1.0, 0.9], [1.0] * 5, []),
        ([1.0, 1.0, 0.9, 1.0, 1.0], [1.0] * 5, []),
        ([0.9] * 5, [1.0, 0.01, 0.0, 0.02, 0.01], ["discriminator_collapsed"]),
        ([0.9] * 5, [0.01, 0.0, 0.02, 0.01, 0.03], []),
    ],
)
def test_a_discriminator_is_judged_by_how_long_it_lasts(right: list[float], loss: list[float], found: list[str]) -> None:
    assert diagnostics.judge_discriminator(points(*right), points(*loss), 1000, LIMITS) == found


def test_rates_follow_their_schedule() -> None:
    plain = section(images=100, batch=4)
    assert {schedules.factor(plain, seen) for seen in range(0, 100, 4)} == {1.0}
    warm = section(images=100, batch=4, lr_warmup_images=20)
    assert [schedules.factor(warm, seen) for seen in range(0, 28, 4)] == [0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0]
    falling = section(images=100, batch=4, lr_decay="linear")
    assert [schedules.factor(falling, seen) for seen in (0, 24, 96)] == pytest.approx([1.0, 0.76, 0.04])
    cosine = section(images=100, batch=4, lr_decay="cosine")
    assert schedules.factor(cosine, 50) == pytest.approx(0.5) and schedules.factor(cosine, 0) == 1.0
    optimiser = Adam(nn.Linear(2, 2).parameters(), lr=0.5)
    for seen in (0, 50, 50):  # from the first rate, not from the last
        schedules.set_rates([optimiser], cosine, seen)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.5 * 0.5 * (1 + math.cos(math.pi / 2)))
