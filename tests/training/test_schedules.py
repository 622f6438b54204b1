"""Learning rates follow their schedule."""

import math

import pytest
from torch import nn
from torch.optim import Adam

from pipeline.training import schedules
from tests.support.tiny_run import engine_params
from tests.support.training_world import settings


def test_rates_follow_their_schedule() -> None:
    plain = engine_params(images=100, batch=4)
    assert {schedules.rate_factor(plain, seen) for seen in range(0, 100, 4)} == {1.0}
    warm = engine_params(images=100, batch=4, lr_warmup_images=20)
    assert [schedules.rate_factor(warm, seen) for seen in range(0, 28, 4)] == [0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0]
    falling = engine_params(images=100, batch=4, lr_decay="linear")
    assert [schedules.rate_factor(falling, seen) for seen in (0, 24, 96)] == pytest.approx([1.0, 0.76, 0.04])
    cosine = engine_params(images=100, batch=4, lr_decay="cosine")
    assert schedules.rate_factor(cosine, 50) == pytest.approx(0.5) and schedules.rate_factor(cosine, 0) == 1.0
    optimiser = Adam(nn.Linear(2, 2).parameters(), lr=0.5)
    for seen in (0, 50, 50):  # from the first rate, not from the last
        schedules.set_rates([optimiser], cosine, seen)
    assert optimiser.param_groups[0]["lr"] == pytest.approx(0.5 * 0.5 * (1 + math.cos(math.pi / 2)))


def test_the_average_forgets_initial_weights_where_its_decay_warms_up() -> None:
    plain = settings(train={"ema_decay": 0.98}).train
    assert {schedules.ema_decay(plain, seen) for seen in range(0, 4000, 4)} == {0.98}
    warm = settings(train={"ema_decay": 0.98, "ema_warmup": True}).train
    found = [schedules.ema_decay(warm, 4 * steps) for steps in (0, 1, 40, 10_000)]
    assert found == pytest.approx([1 / 10, 2 / 11, 41 / 50, 0.98])
