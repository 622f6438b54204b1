"""Memory of a training step, computed on fake tensors, so that no device of that size is needed. JSON lines.

    python -m benchmarks.train_memory [--size 256] [--batches 1 4 8] [--precision bfloat16] [--budget-gb 6]

The step of the engine itself (recipe cartoongan) runs on tensors that have shapes and types and no content; every storage that
it makes is counted until it goes: weights, their average, gradients, both Adams' moments, VGG19, pictures, activations, and
what lives for a moment only. Not in it, on a GPU: the driver's context (0.3 to 0.5 GB), the convolutions' workspace, and what
the allocator loses between blocks; so the ratio is to a budget less 1 GB.
"""

from __future__ import annotations

import argparse
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.output import print_result
from benchmarks.train_step import settings
from models.discriminators import build_discriminator
from models.generators.residual import Generator
from models.generators.table import build_generator
from models.perceptual import VGG19_LAYERS, VggFeatures
from pipeline.dataset.loader import Batch
from pipeline.params.schema import Params, check
from pipeline.training.features import FeatureExtractors
from pipeline.training.gan_networks import GanNetworks
from pipeline.training.loop import gan_step
from pipeline.training.model_setup import build_adam

RESERVE_GB = 1.0
VGG_WIDTHS = (3, 64, 64, 128, 128, *(256,) * 4, *(512,) * 8)
VGG_INDICES = (0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34)
CPU = torch.device("cpu")


class Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of all storages that are created and freed within the block."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self, function: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation, and count the storages that it made."""
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self.count(tensor)
        return out

    def count(self, tensor: Tensor) -> None:
        """Count a tensor's storage until it is freed."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self.known:
            return
        self.known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self.forget, key, size)

    def forget(self, key: int, size: int) -> None:
        """Subtract a storage that was freed."""
        self.known.discard(key)
        self.now -= size


def vgg_weights() -> dict[str, Tensor]:
    """Make weights of the shapes of VGG19's."""
    found: dict[str, Tensor] = {}
    for index, inputs, outputs in zip(VGG_INDICES, VGG_WIDTHS, VGG_WIDTHS[1:], strict=False):
        found[f"features.{index}.weight"] = torch.empty(outputs, inputs, 3, 3)
        found[f"features.{index}.bias"] = torch.empty(outputs)
    return found


def networks_of(params: Params, content: VggFeatures) -> GanNetworks:
    """Build the networks as stage train does, with arbitrary weights."""
    model, section = params.model, params.train
    generator = build_generator(model.generator, norm=model.generator_norm)
    if not isinstance(generator, Generator):
        raise TypeError(type(generator))
    generator.save_memory = section.save_memory
    ema: nn.Module = build_generator(model.generator, norm=model.generator_norm).requires_grad_(False)
    discriminator = build_discriminator(model.discriminator, norm=model.discriminator_norm, spectral=model.spectral_norm)
    return GanNetworks(
        generator,
        build_adam(generator, section.lr, section.beta1),
        ema,
        discriminator,
        build_adam(discriminator, section.discriminator_lr, section.beta1),
        FeatureExtractors(content, None, None),
        CPU,
        {},
    )


def peak_bytes(params: Params) -> tuple[int, int]:
    """Return the bytes at the peak of the second step, and those that stay between steps."""
    section = params.train
    content = VggFeatures(vgg_weights(), [params.loss.content_layer], dict.fromkeys(VGG19_LAYERS, 1.0))
    with FakeTensorMode(allow_non_fake_inputs=True), Tally() as tally:
        for parameter in content.parameters():
            tally.count(parameter)
        networks = networks_of(params, content)
        shape = (section.batch, 3, section.crop_px, section.crop_px)
        batch = Batch(torch.empty(shape), torch.empty(shape), torch.empty(shape), torch.empty(shape))
        gan_step(networks, batch, section, params.loss)
        tally.peak = tally.now
        gan_step(networks, batch, section, params.loss)
        return tally.peak, tally.now


def chosen(size: int, batch: int, precision: str, save_memory: bool, accumulate: int) -> Params:
    """Return the recipe's loss and networks, with batch norm in both as published, and weight averaging."""
    tree = settings("cartoongan", size, batch, precision).model_dump()
    tree["model"] |= {"discriminator_norm": None}
    tree["train"] |= {"save_memory": save_memory, "accumulate": accumulate, "ema_decay": 0.999}
    return check(tree)


def main() -> None:
    """Print a line for each batch size and way of saving memory."""
    parser = argparse.ArgumentParser(description="memory of a training step, computed")
    parser.add_argument("--size", type=int, default=256, help="side of the crops, pixels")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8], help="pictures a step")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--budget-gb", type=float, default=6.0, help="memory of the device")
    arguments = parser.parse_args()
    room = arguments.budget_gb - RESERVE_GB
    for batch in arguments.batches:
        for save_memory, accumulate in ((False, 1), (True, 1), (False, batch), (True, batch)):
            params = chosen(arguments.size, batch, arguments.precision, save_memory, accumulate)
            peak, stays = peak_bytes(params)
            unit, ratio = "GB at the peak of a step", room * 1e9 / peak
            notes = (
                f"cartoongan, {arguments.size} px, batch {batch}, {arguments.precision}, save_memory {save_memory}, "
                f"accumulate {accumulate}; {stays / 1e9:.3g} GB of it stay between steps"
            )
            print_result("train_memory", peak / 1e9, unit, room, ratio, notes, "computed, no device")
            if batch == 1 and save_memory:
                break


if __name__ == "__main__":
    main()
