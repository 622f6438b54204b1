"""Detects training that is going wrong, from numbers and pictures, and says what to do about it."""

from collections.abc import Mapping, Sequence

from pipeline.media.images import Picture
from pipeline.params.training import DiagnosticsParams

UNCHANGED_OUTPUT_FROM = 0.5  # share of a run after which an output that still equals its input is worth a warning

ADVICE = {
    "one_color": "the output is one color: lower the learning rate or loss.tv_weight, or raise loss.content_weight",
    "same_as_photo": "the output still equals the photo: raise loss.style_weight or loss.adversarial_weight, "
    "or lower loss.content_weight",
    "discriminator_won": "the discriminator has long classified nearly everything correctly: lower train.discriminator_lr or "
    "loss.adversarial_weight, or set model.spectral_norm",
    "discriminator_collapsed": "the discriminator's loss has long been close to 0, so the generator learns nothing from it: "
    "lower train.discriminator_lr, or set model.spectral_norm, loss.label_smoothing, loss.r1_weight or train.augment",
}
"""Name of a warning -> its text."""
METADATA_KEY = "diagnostics"
"""Metadata key of a generator's file under which the warnings at the end of its training are named."""

Series = Sequence[tuple[int, float]]
"""Pairs of images seen and value."""


def check_output(
    photos: Sequence[Picture], outputs: Sequence[Picture], progress: float, limits: DiagnosticsParams
) -> list[str]:
    """Return the name of at most one warning about the generator's outputs for some photos: one_color or same_as_photo.

    Args:
        progress: share of the run that is done, 0 to 1: early on, an output that equals its photo is normal.
    """
    if max(float(output.std(axis=(0, 1)).max()) for output in outputs) < limits.one_color_levels:
        return ["one_color"]
    if progress >= UNCHANGED_OUTPUT_FROM and mean_difference(photos, outputs) < limits.same_levels:
        return ["same_as_photo"]
    return []


def check_discriminator(accuracy: Series, loss: Series, images: int, limits: DiagnosticsParams) -> list[str]:
    """Return the names of warnings about the discriminator, given its accuracy (0 to 1) and loss so far; [] if there are none.

    Args:
        images: length of the whole run, in images.
    """
    least_images = limits.discriminator_share * images
    warnings = []
    if _images_held([(seen, value >= limits.discriminator_accuracy) for seen, value in accuracy]) >= least_images:
        warnings.append("discriminator_won")
    if _images_held([(seen, value <= limits.discriminator_loss) for seen, value in loss]) >= least_images:
        warnings.append("discriminator_collapsed")
    return warnings


def _images_held(points: Sequence[tuple[int, bool]]) -> float:
    """Images since a condition has held without interruption up to the last point; -1 if it does not hold there."""
    since = None
    for images_seen, holds in reversed(points):
        if not holds:
            break
        since = images_seen
    return -1 if since is None else points[-1][0] - since


def mean_difference(photos: Sequence[Picture], outputs: Sequence[Picture]) -> float:
    """Mean absolute difference of pairs of uint8 pictures (at least one pair), in levels, 0 to 255."""
    pairs = zip(photos, outputs, strict=True)
    return sum(float(abs(a.astype("int16") - b).mean()) for a, b in pairs) / len(photos)


def as_numbers(warnings: Sequence[str]) -> Mapping[str, float]:
    """Turn warnings into numbers for the metric log: 1 for those given, 0 for the others."""
    return {name: float(name in warnings) for name in ADVICE}
