"""Learning rates and the average's decay over a run, as functions of the images seen alone."""

import math
from collections.abc import Iterable

from torch import Tensor
from torch.optim import Optimizer

from pipeline.params.training import EngineParams, TrainParams


def rate_factor(section: EngineParams, images_seen: int) -> float:
    """Factor of the learning rates in the next step: a linear warm-up from near 0, times a decay to 0 at the end of the run."""
    progress = min(images_seen / section.images, 1.0)
    decay = {
        "constant": 1.0,
        "linear": 1.0 - progress,
        "cosine": 0.5 * (1.0 + math.cos(math.pi * progress)),
    }[section.lr_decay]
    if images_seen + section.batch >= section.lr_warmup_images:
        return decay
    return decay * (images_seen + section.batch) / section.lr_warmup_images


def ema_decay(section: TrainParams, images_seen: int) -> float:
    """Decay of the generator's average in the next step; with a warm-up min(ema_decay, (1 + steps) / (10 + steps))."""
    steps = images_seen // section.batch
    return min(section.ema_decay, (1 + steps) / (10 + steps)) if section.ema_warmup else section.ema_decay


def set_rates(optimizers: Iterable[Optimizer], section: EngineParams, images_seen: int) -> None:
    """Set the learning rates of the next step from those that the optimizers were built with."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            rate = optimizer.defaults["lr"] * rate_factor(section, images_seen)
            if isinstance(group["lr"], Tensor):  # where a CUDA graph reads it
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
