"""Learning rates over a run, as functions of the images seen alone."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch.optim import Optimizer

from pipeline.params.training import EngineParams


def factor(section: EngineParams, images_seen: int) -> float:
    """What learning rates are multiplied by in the step that follows: warm-up from near 0, then decay to 0."""
    progress = min(images_seen / section.images, 1.0)
    decay = {
        "constant": 1.0,
        "linear": 1.0 - progress,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * progress)),
    }[section.lr_decay]
    if images_seen + section.batch >= section.lr_warmup_images:
        return decay
    return decay * (images_seen + section.batch) / section.lr_warmup_images


def set_rates(optimisers: Iterable[Optimizer], section: EngineParams, images_seen: int) -> None:
    """Set each optimiser's rate from the one it was made with."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = optimiser.defaults["lr"] * factor(section, images_seen)
