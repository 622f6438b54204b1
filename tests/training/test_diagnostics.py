"""Each diagnostic warns of its own problem and of nothing else."""

import numpy as np
import pytest

from pipeline.params.training import DiagnosticsParams
from pipeline.training import diagnostics

LIMITS = DiagnosticsParams(
    one_color_levels=2.0, same_levels=1.0, discriminator_accuracy=0.98, discriminator_loss=0.02, discriminator_share=0.25
)


def test_outputs_are_checked() -> None:
    rng = np.random.default_rng(0)
    photos = [rng.integers(0, 250, (8, 8, 3), np.uint8) for _ in range(2)]
    near = [photo.copy() for photo in photos]
    near[0][0, 0] += 3
    assert diagnostics.check_output(photos, near, 0.2, LIMITS) == []
    assert diagnostics.check_output(photos, near, 0.9, LIMITS) == ["same_as_photo"]
    assert diagnostics.check_output(photos, near, 0.9, LIMITS.model_copy(update={"same_levels": 0.0})) == []
    assert diagnostics.check_output(photos, [photo + 5 for photo in photos], 0.9, LIMITS) == []
    plain = [np.full_like(photo, 7) for photo in photos]
    assert diagnostics.check_output(photos, plain, 0.0, LIMITS) == ["one_color"]
    assert diagnostics.as_numbers(["one_color"]) == {name: float(name == "one_color") for name in diagnostics.ADVICE}


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
def test_a_discriminator_is_warned_of_when_it_lasts(right: list[float], loss: list[float], found: list[str]) -> None:
    assert diagnostics.check_discriminator(points(*right), points(*loss), 1000, LIMITS) == found
