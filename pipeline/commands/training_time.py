"""How long the training that params describe takes on this machine: its own step, run for some seconds on noise."""

import contextlib
import multiprocessing
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from models.generators.table import build_generator
from models.ops.augment import CHANCES
from pipeline.dataset.loader import Batch
from pipeline.networks import devices, weights
from pipeline.networks.vgg import load_vgg
from pipeline.params.schema import Params
from pipeline.training import cuda_graph, loop
from pipeline.training.gan_networks import build_networks
from pipeline.training.metric_log import Terms
from pipeline.training.model_setup import blame_key

_PIXELS_ON_CPU = 4 * 96**2  # of a batch


class TrainingTime(NamedTuple):
    """An estimate for one process."""

    images_per_s: float
    train_hours: float
    pretrain_hours: float
    """At most: its step is part of the one that was measured."""


def estimate_within(params: Params, seconds: float, limit_s: float) -> TrainingTime | None:
    """Run `estimate` (same errors) in a process that is ended after `limit_s`; then return None, as a step can take minutes."""
    with multiprocessing.get_context("spawn").Pool(1) as pool, contextlib.suppress(multiprocessing.TimeoutError):
        return pool.apply_async(estimate, (params, seconds)).get(limit_s)
    return None


def estimate(params: Params, seconds: float, device: torch.device | None = None) -> TrainingTime:
    """Estimate the time from training steps on noise with the networks and losses of params, run for `seconds`, at least one.

    Raises:
        UserError: params name an unknown network, norm or layer.
    """
    device = device or devices.pick_device()
    devices.prepare(device)
    section, loss, model = params.train, params.loss, params.model
    if device.type == "cpu":  # where a large batch takes as long as its parts
        batch_size = min(section.batch, max(1, _PIXELS_ON_CPU // section.crop_px**2))
        section = section.model_copy(update={"batch": batch_size, "accumulate": 1})
    with tempfile.TemporaryDirectory() as folder:
        start = Path(folder) / "generator.safetensors"
        about = weights.generator_metadata(model.generator, model.generator_norm)
        with blame_key("model.generator"):
            generator = build_generator(model.generator, norm=model.generator_norm)
        weights.save_generator(start, generator, about)
        networks = build_networks(model, section, loss, load_vgg(params.perceptual.weights), start, device)
    noise = torch.rand(section.batch, 3, section.crop_px, section.crop_px, device=device) * 2 - 1
    noise = noise.contiguous(memory_format=devices.layout(device))
    draws = torch.rand(section.batch, 3, CHANCES, device=device) if section.augment else None
    batch = Batch(noise, noise, noise if loss.edge_weight else None, noise, draws)
    others = [batch] * (section.discriminator_steps - 1)

    def gan_step(batch: Batch, others: Iterable[Batch], decay: float | Tensor) -> Terms:
        return loop.gan_step(networks, batch, section, loss, others, decay)

    on_gpu = device.type == "cuda"
    step, warm_up = (cuda_graph.graphed(gan_step, section, loss), cuda_graph.EAGER_STEPS + 1) if on_gpu else (gan_step, 1)
    count, started = 0, time.monotonic()
    while time.monotonic() - started < seconds or not count:
        terms = step(batch, others, section.ema_decay)
        float(next(iter(terms.values())))  # waits for the device
        count += 1
        if count == warm_up and time.monotonic() - started < seconds:
            count, started, warm_up = 0, time.monotonic(), 0
    rate = count * section.batch / (time.monotonic() - started)
    pixels = params.pretrain.images * params.pretrain.crop_px**2
    return TrainingTime(rate, section.images / rate / 3600, pixels / section.crop_px**2 / rate / 3600)
