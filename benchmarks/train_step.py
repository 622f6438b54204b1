"""A training step of CartoonGAN: the engine against a plain step as published codes do it; JSON lines.

    python -m benchmarks.train_step [--size 256] [--batch 2] [--rounds 3] [--precision float32] [--compile]

Both start from the same weights and take the same batches, turn by turn in one run. The plain step is that of the port that
others copy (znxlwm/pytorch-CartoonGAN): float32, contiguous, pictures decoded from PNG for each step, three discriminator
passes, the fake made twice, the first of them not detached (so the discriminator's step goes back through the generator), a
VGG19 whose weights collect gradients, features of the photo with graph. A second line has the plain step without its two
slips: fake detached, VGG19 frozen. Instance norm in the discriminator, as in that port: with batch norm one pass is not three.
"""

from __future__ import annotations

import argparse
import copy
import math
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim import Adam

from benchmarks.output import print_result
from benchmarks.recipe_params import params_of
from models import losses
from models.generators.table import build_generator
from models.ops.convolution import accelerate
from pipeline.dataset import crop_sets
from pipeline.dataset.crop_sets import CropSet
from pipeline.dataset.loader import BatchLoader
from pipeline.dataset.views import CropOrder
from pipeline.edge_smooth import smooth_edges
from pipeline.media import arrays, images
from pipeline.media.images import Picture
from pipeline.networks import devices, weights
from pipeline.networks.vgg import VggWeights, load_vgg
from pipeline.params.schema import Params
from pipeline.training import model_setup
from pipeline.training.gan_networks import GanNetworks, build_networks
from pipeline.training.loop import gan_step

CROPS = 16
Sets = dict[str, list[Picture]]


class Plain:
    """The plain step; `slips` are what published codes do needlessly and by oversight."""

    def __init__(self, networks: GanNetworks, vgg: VggWeights, params: Params, files: dict[str, list[Path]], slips: bool):
        self.device, self.loss, self.section, self.files, self.slips = networks.device, params.loss, params.train, files, slips
        plain = torch.contiguous_format
        self.generator = copy.deepcopy(networks.generator).to(memory_format=plain)
        self.discriminator = copy.deepcopy(networks.discriminator).to(memory_format=plain)  # type: ignore[union-attr]
        for network in (self.generator, self.discriminator):
            accelerate(network, fast=False)
        layer = self.loss.content_layer
        self.vgg = vgg.features([layer]).to(self.device).requires_grad_(slips)
        rates = (self.section.lr, self.section.discriminator_lr)
        betas = (self.section.beta1, model_setup.BETA2)
        both: tuple[nn.Module, nn.Module] = (self.generator, self.discriminator)
        self.optimizers = [Adam(one.parameters(), lr=rate, betas=betas) for one, rate in zip(both, rates, strict=True)]

    def batch(self, domain: str, order: str, seen: int) -> Tensor:
        """The crops that the engine shows, decoded and turned into tensors as ToTensor and Normalize do."""
        files = self.files[domain]
        views = CropOrder(self.section.seed, order, len(files), self.section.crop_px, self.section.crop_px).views(
            seen, self.section.batch
        )
        found = []
        for index, mirrored in zip(views.crop_index, views.mirrored, strict=True):
            with Image.open(files[index]) as opened:
                pixels = np.array(opened.convert("RGB"))
            pixels = pixels[:, ::-1].copy() if mirrored else pixels
            found.append((torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().div(255) - 0.5) / 0.5)
        return torch.stack(found).to(self.device)

    def step(self, seen: int) -> dict[str, Tensor]:
        """Loader, discriminator step, generator step."""
        form: losses.Form = "bce"
        layer = self.loss.content_layer
        photo = self.batch("photo", "photo", seen)
        anime, smoothed = (self.batch(domain, "anime", seen) for domain in ("anime", "edge_smooth"))
        self.optimizers[1].zero_grad()
        real, edge = self.discriminator(anime), self.discriminator(smoothed)
        fake = self.generator(photo)
        on_fake = self.discriminator(fake if self.slips else fake.detach())
        terms = {"real": losses.discriminator_real(form, real)}
        terms |= {
            name: losses.discriminator_fake(form, logits) for name, logits in (("edge_smoothed", edge), ("fake", on_fake))
        }
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        self.optimizers[1].step()
        named = {f"discriminator_{name}": term for name, term in terms.items()}
        self.optimizers[0].zero_grad()
        fake = self.generator(photo)
        adversarial = losses.generator_adversarial(form, self.discriminator(fake))
        wanted = self.vgg(photo)[layer]
        content = losses.content(self.vgg(fake)[layer], wanted.detach())
        total = self.loss.content_weight * content + self.loss.adversarial_weight * adversarial
        total.backward()  # type: ignore[no-untyped-call]
        self.optimizers[0].step()
        return {**named, "content": content, "adversarial": adversarial, "total": total}


def settings(generator: str, size: int, batch: int, precision: str, compile: bool = False) -> Params:
    """Recipe `cartoongan-paper` at some size, with instance norm in the discriminator and without average."""
    changes = {
        "model.generator": generator,
        "model.discriminator_norm": "instance",
        "crop.size_px": size,
        "pretrain.crop_px": size,
        "train.crop_px": size,
        "train.batch": batch,
        "train.precision": precision,
        "train.ema_decay": 0.0,
        "train.compile": compile,
    }
    return params_of("cartoongan-paper", changes)


def make_sets(size: int, params: Params) -> Sets:
    """Anime crops of the sample film, edge-smoothed copies, and noisy, mirrored crops in place of photos."""
    from benchmarks.smooth import crops  # which needs FFmpeg

    anime = [arrays.resize(one, size, size) for one in crops(None, CROPS)]
    rng = np.random.default_rng(1)
    photo = [np.clip(one[::-1] + rng.normal(0, 12, one.shape), 0, 255).astype(np.uint8) for one in anime]
    return {"photo": photo, "anime": anime, "edge_smooth": [smooth_edges(one, params.edge_smooth) for one in anime]}


def write_sets(sets: Sets, folder: Path) -> dict[str, list[Path]]:
    """The crops as PNG, for the plain loader."""
    files: dict[str, list[Path]] = {}
    for name, pictures in sets.items():
        files[name] = [folder / f"{name}-{index}.png" for index in range(len(pictures))]
        for path, picture in zip(files[name], pictures, strict=True):
            images.write(path, picture)
    return files


def build(params: Params, device: torch.device, vgg: VggWeights, folder: Path) -> GanNetworks:
    """Networks as the stage makes them, from a generator that nobody trained."""
    name = params.model.generator
    generator = devices.build_seeded(lambda: build_generator(name), 1, "generator", device)
    file = folder / "generator.safetensors"
    weights.save_generator(file, generator, weights.generator_metadata(name, None))
    return build_networks(params.model, params.train, params.loss, vgg, file, device)


def timed(work: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds by the clock and of the processor."""
    began, cpu = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began, time.process_time() - cpu


def peak_gb(arguments: argparse.Namespace, kind: str) -> float:
    """Peak memory of two steps of one kind alone, GB: of the device, or of a process of its own."""
    command = [sys.executable, "-m", "benchmarks.train_step", "--only", kind, *sys.argv[1:]]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-1])


def peak_of_process() -> int:
    """Bytes. Of Linux's own status: getrusage tells a child the peak of the parent that started it."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024  # type: ignore[union-attr]


def main() -> None:
    """Print the lines; end with an error when the losses of the two do not agree."""
    parser = argparse.ArgumentParser(description="a training step against a plain one")
    parser.add_argument("--size", type=int, default=256, help="side of the crops, pixels")
    parser.add_argument("--batch", type=int, default=2, help="pictures a step")
    parser.add_argument("--rounds", type=int, default=3, help="steps of each kind that are timed; the best counts")
    parser.add_argument("--generator", default="cartoongan", help="row of the table of generators")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], help="the engine's; by default bfloat16 on a GPU alone")
    parser.add_argument("--compile", action="store_true", help="the engine with train.compile")
    parser.add_argument("--no-memory", action="store_true", help="leave peak memory out, which takes runs of their own")
    parser.add_argument("--only", choices=["engine", "plain"], help="two steps of one kind; prints peak memory, GB")
    arguments = parser.parse_args()
    device = devices.pick_device()
    devices.prepare(device)
    precision = devices.usable_precision(device, arguments.precision or ("bfloat16" if device.type == "cuda" else "float32"))
    params = settings(arguments.generator, arguments.size, arguments.batch, precision, arguments.compile)
    vgg = load_vgg(params.perceptual.weights)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = make_sets(arguments.size, params)
        files = write_sets(sets, folder)
        networks = build(params, device, vgg, folder)
        photo, anime, smoothed = (
            crop_sets.to_device(CropSet(torch.from_numpy(np.stack(sets[key])), key), device)
            for key in ("photo", "anime", "edge_smooth")
        )
        section = params.train
        source = BatchLoader(photo, anime, smoothed, section.seed, section.batch, section.crop_px, device)

        def engine_step(seen: int) -> dict[str, Tensor]:
            return gan_step(networks, source.batch_at(seen), params.train, params.loss)

        if arguments.only:
            alone = engine_step if arguments.only == "engine" else Plain(networks, vgg, params, files, True).step
            for turn in range(2):
                alone(turn * section.batch)
            print(f"{(torch.cuda.max_memory_allocated() if device.type == 'cuda' else peak_of_process()) / 1e9:.4g}")
            return
        kinds: dict[str, Callable[[int], dict[str, Tensor]]] = {
            "plain": Plain(networks, vgg, params, files, True).step,
            "tidy": Plain(networks, vgg, params, files, False).step,
        }
        report(arguments, device, precision, engine_step, kinds)


def report(
    arguments: argparse.Namespace,
    device: torch.device,
    precision: str,
    engine_step: Callable[[int], dict[str, Tensor]],
    kinds: dict[str, Callable[[int], dict[str, Tensor]]],
) -> None:
    """Compare the first step's losses, time the next ones turn by turn, print."""
    first = {name: float(term.detach()) for name, term in engine_step(0).items()}
    apart = {}
    for kind, step in kinds.items():
        plain = {name: float(term.detach()) for name, term in step(0).items()}
        # A generator that begins as the photo has a content term of 0.
        apart[kind] = max(abs(first[name] - value) / max(abs(value), 1e-3) for name, value in plain.items())
    tolerance = 0.03 if precision == "bfloat16" else 1e-3
    if max(apart.values()) > tolerance:
        raise SystemExit(f"the losses of the first step differ by {max(apart.values()):.3g} of themselves")
    everyone = {"engine": engine_step, **kinds}
    best = {kind: [math.inf, math.inf] for kind in everyone}
    for turn in range(arguments.rounds):
        for kind, step in everyone.items():
            seen = (turn + 1) * arguments.batch
            found = timed(lambda step=step, seen=seen: step(seen), device)  # type: ignore[misc]
            best[kind] = [min(pair) for pair in zip(best[kind], found, strict=True)]
    memory = "" if arguments.no_memory else "peak memory {:.3g} GB against {:.3g} GB, ".format(
        *(peak_gb(arguments, kind) for kind in ("engine", "plain"))
    )  # fmt: skip
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    for metric, kind in (("train_step_vs_plain", "plain"), ("train_step_vs_tidy", "tidy")):
        (engine_s, engine_cpu_s), (baseline_s, baseline_cpu_s) = best["engine"], best[kind]
        notes = (
            f"{arguments.generator}, batch {arguments.batch}, best of {arguments.rounds} steps, {memory}"
            f"losses apart {apart[kind]:.1g}, {precision}; ratio of processor time {baseline_cpu_s / engine_cpu_s:.3g}"
        )
        per_s, baseline_per_s = arguments.batch / engine_s, arguments.batch / baseline_s
        unit = f"pictures/s at {arguments.size} px"
        print_result(metric, per_s, unit, baseline_per_s, baseline_s / engine_s, notes, where)


if __name__ == "__main__":
    main()
