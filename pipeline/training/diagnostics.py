"""What is plainly going wrong in training, and what to do about it. Pure: numbers and pictures in, advice out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pipeline.media.images import Picture
from pipeline.params.training import DiagnosticsParams

LATE = 0.5  # share of a run after which an output that still equals its input is worth a warning

ADVICE = {
    "one_colour": "the output is one colour: lower the learning rate or loss.tv_weight, or raise loss.content_weight",
    "same_as_photo": "the output still equals the photo: raise loss.style_weight or loss.adversarial_weight, "
    "or lower loss.content_weight",
    "discriminator_won": "the discriminator has long told nearly everything right: lower train.discriminator_lr or "
    "loss.adversarial_weight, or set model.spectral_norm",
    "discriminator_collapsed": "the discriminator's loss has long been next to 0, so it teaches nothing: lower "
    "train.discriminator_lr, or set model.spectral_norm, loss.label_smoothing, loss.r1_weight or train.augment",
}
"""Name of a finding -> what is said of it."""
METADATA = "diagnostics"
"""Key under which a generator's file names the findings of the last look at its training."""

Series = Sequence[tuple[int, float]]


def judge_output(
    photos: Sequence[Picture], outputs: Sequence[Picture], progress: float, limits: DiagnosticsParams
) -> list[str]:
    """Names of what is wrong with redrawn photos.

    Args:
        progress: how far the run is, 0 to 1; an untrained network may well give the photo back.
    """
    if max(float(output.std(axis=(0, 1)).max()) for output in outputs) < limits.one_color_levels:
        return ["one_colour"]
    if progress >= LATE and difference(photos, outputs) < limits.same_levels:
        return ["same_as_photo"]
    return []


def judge_discriminator(right: Series, loss: Series, images_in_all: int, limits: DiagnosticsParams) -> list[str]:
    """Names of what is wrong with the discriminator, given its share told right and its loss by images seen."""
    long = limits.discriminator_share * images_in_all
    found = []
    if _held([(seen, share >= limits.discriminator_right) for seen, share in right]) >= long:
        found.append("discriminator_won")
    if _held([(seen, value <= limits.discriminator_loss) for seen, value in loss]) >= long:
        found.append("discriminator_collapsed")
    return found


def _held(points: Sequence[tuple[int, bool]]) -> float:
    """Images for which something has held up to the last point; -1 if it does not hold there."""
    since = None
    for images_seen, holds in reversed(points):
        if not holds:
            break
        since = images_seen
    return -1 if since is None else points[-1][0] - since


def difference(photos: Sequence[Picture], outputs: Sequence[Picture]) -> float:
    """Mean absolute difference of pictures, in levels of 255."""
    pairs = zip(photos, outputs, strict=True)
    return sum(float(abs(a.astype("int16") - b).mean()) for a, b in pairs) / len(photos)


def told(found: Sequence[str]) -> Mapping[str, float]:
    """Findings as numbers for the log: 1 where something was found."""
    return {name: float(name in found) for name in ADVICE}
