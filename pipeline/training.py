"""The engine that pretraining and training share: device, precision, optimisers, the loop, its log and its guards."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import torch
from torch import Tensor, nn
from torch.optim import Adam
from tqdm.contrib.logging import logging_redirect_tqdm

from models.perceptual import Vgg19Features, feature_scale
from pipeline import manifest, stage, weights
from pipeline.checkpoints import Checkpoint, Checkpoints
from pipeline.faults import Fault
from pipeline.images import Picture
from pipeline.params import EngineParams, Params
from pipeline.vgg import VggWeights

BETA2 = 0.999
LATE = 0.5  # share of a run after which an output that still equals its input is worth a warning
SAME_LEVELS = 1.0  # mean difference from the photo, in levels of 255, under which nothing is seen to have changed
FLAT_LEVELS = 2.0  # standard deviation, in levels of 255, under which an output is one colour

Terms = dict[str, Tensor]
Numbers = dict[str, float]

log = logging.getLogger("genga")


def pick_device() -> torch.device:
    """The GPU when there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def prepare(device: torch.device) -> None:
    """Set torch up: on the processor the same run gives the same bits; on a GPU the fastest kernels are sought."""
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    else:
        torch.use_deterministic_algorithms(True)
        # Nothing here reads memory that it has not written: filling it would only cost time.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@contextlib.contextmanager
def naming(key: str) -> Iterator[None]:
    """Tell a ValueError of models/ as the fault of the params key it came from."""
    try:
        yield
    except ValueError as error:
        raise Fault(f"{key}: {error}") from None


def seeded(build: Callable[[], nn.Module], seed: int, name: str, device: torch.device) -> nn.Module:
    """Build a network whose first weights depend on the seed and its name alone, and take it to the device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(manifest.number(seed, name) >> 1)
        return to_device(build(), device)


def to_device(module: nn.Module, device: torch.device) -> nn.Module:
    """Move a network, and lay its weights out as convolutions like them."""
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[no-any-return, call-overload]


def ruler(vgg: VggWeights, taps: Sequence[str], key: str, device: torch.device) -> Vgg19Features:
    """VGG19 down to the deepest of some layers that the params key names."""
    with naming(key):
        network = Vgg19Features(vgg.state_dict, tuple(dict.fromkeys(taps)), feature_scale(vgg.family))
    to_device(network, device)
    return network


def adam(network: nn.Module, lr: float, beta1: float) -> Adam:
    """The fused Adam of a network."""
    return Adam(network.parameters(), lr=lr, betas=(beta1, BETA2), fused=True)


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The arithmetic of the forward passes."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def step_down(loss: Tensor, network: nn.Module, optimiser: Adam) -> Tensor:
    """One step of an optimiser down a loss; the norm of the gradient."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    norm = nn.utils.get_total_norm([p.grad for p in network.parameters() if p.grad is not None])
    optimiser.step()
    return norm


@torch.no_grad()
def average(ema: nn.Module, network: nn.Module, decay: float) -> None:
    """Move an averaged copy of a network towards it; running statistics are copied."""
    torch._foreach_lerp_(list(ema.parameters()), list(network.parameters()), 1 - decay)
    for mine, other in zip(ema.buffers(), network.buffers(), strict=True):
        mine.copy_(other)


@dataclass
class Journal:
    """What a run has measured, as the TSV files that `dvc plots` reads; it goes into checkpoints with the rest."""

    rows: list[tuple[int, Numbers]] = field(default_factory=list)
    """Images seen, and numbers by name, such as train/content."""
    pending: list[Numbers] = field(default_factory=list)
    """Terms of the steps since the last row of training."""
    _window: list[tuple[int, Terms]] = field(default_factory=list)

    def note(self, images_seen: int, terms: Terms) -> None:
        """Take a step's terms; they stay on the device until `settle`, so that no step waits for the last."""
        self._window.append((images_seen, terms))

    def settle(self) -> tuple[int, str] | None:
        """Fetch the terms noted; the first that is not finite, if any, as (images seen, name)."""
        if not self._window:
            return None
        names = list(self._window[0][1])
        values = torch.stack([torch.stack([terms[name].float() for name in names]) for _, terms in self._window]).tolist()
        seen = [images_seen for images_seen, _ in self._window]
        self._window.clear()
        for images_seen, row in zip(seen, values, strict=True):
            self.pending.append(dict(zip(names, row, strict=True)))
            for name, value in self.pending[-1].items():
                if not math.isfinite(value):
                    return images_seen, name
        return None

    def mean(self) -> Numbers:
        """The means of the settled terms, which are then done with."""
        count = max(len(self.pending), 1)
        means = {name: math.fsum(row[name] for row in self.pending) / count for name in (self.pending or [{}])[0]}
        self.pending.clear()
        return means

    def log(self, images_seen: int, group: str, numbers: Mapping[str, float]) -> None:
        """Add a row of numbers under a group, such as train or val."""
        self.rows.append((images_seen, {f"{group}/{name}": value for name, value in numbers.items()}))

    def series(self, name: str) -> list[tuple[int, float]]:
        """One number over the run."""
        return [(images_seen, row[name]) for images_seen, row in self.rows if name in row]

    def latest(self, group: str) -> Numbers:
        """The last value of each number of a group, by its name in the group."""
        merged: Numbers = {}
        for _, row in self.rows:
            merged |= row
        return {name.removeprefix(f"{group}/"): value for name, value in merged.items() if name.startswith(f"{group}/")}

    def write(self, folder: Path) -> None:
        """Write the files that DVCLive would: plots/metrics/GROUP/NAME.tsv, and metrics.json with the last of each.

        DVCLive itself stops in a git repository without commits, and would play a long history back number by number
        after each resume.
        """
        latest: dict[str, Any] = {}
        for path in sorted({name for _, row in self.rows for name in row}):
            group, name = path.split("/")
            points = self.series(path)
            file = folder / "plots" / "metrics" / group / f"{name}.tsv"
            file.parent.mkdir(parents=True, exist_ok=True)
            lines = [f"step\t{name}", *(f"{step}\t{value:.6g}" for step, value in points)]
            file.write_text("\n".join(lines) + "\n", "utf-8")
            latest.setdefault(group, {})[name] = float(f"{points[-1][1]:.6g}")
        latest["step"] = self.rows[-1][0] if self.rows else 0
        folder.mkdir(parents=True, exist_ok=True)
        stage.write_json(folder / "metrics.json", latest)


@dataclass
class State:
    """All that a run carries from one step to the next: declared here, saved and restored by name."""

    networks: dict[str, nn.Module]
    optimisers: dict[str, Adam]
    journal: Journal = field(default_factory=Journal)
    images_seen: int = 0

    def checkpoint(self) -> Checkpoint:
        """The state as named tensors and plain values; the journal must be settled."""
        tensors = dict(self._network_tensors())
        for name, optimiser in self.optimisers.items():
            for index, slots in optimiser.state_dict()["state"].items():
                tensors |= {f"optimiser/{name}/{index}/{slot}": value for slot, value in slots.items()}
        record = {"rows": self.journal.rows, "pending": self.journal.pending}
        return Checkpoint(self.images_seen, tensors, record)

    def restore(self, saved: Checkpoint) -> None:
        """Take the values of a checkpoint of the same run."""
        with torch.no_grad():
            for name, tensor in self._network_tensors():
                tensor.copy_(saved.tensors[name])
        for name, optimiser in self.optimisers.items():
            parameters = optimiser.param_groups[0]["params"]
            slots: dict[int, dict[str, Tensor]] = {}
            for path, value in saved.tensors.items():
                kind, owner, *rest = path.split("/")
                if (kind, owner) == ("optimiser", name):
                    index, slot = int(rest[0]), rest[1]
                    # Laid out as its parameter: the fused kernels walk both in the order of memory.
                    like = torch.empty_like(parameters[index])
                    slots.setdefault(index, {})[slot] = like.copy_(value) if value.shape == like.shape else value
            optimiser.load_state_dict({"state": slots, "param_groups": optimiser.state_dict()["param_groups"]})
        self.journal.rows = [(images_seen, row) for images_seen, row in saved.record["rows"]]
        self.journal.pending = saved.record["pending"]
        self.images_seen = saved.images_seen

    def _network_tensors(self) -> Iterator[tuple[str, Tensor]]:
        for name, network in self.networks.items():
            yield from ((f"network/{name}/{key}", value) for key, value in network.state_dict().items())


def resume(state: State, checkpoints: Checkpoints, images: int) -> None:
    """Go on from the run's newest whole checkpoint, if it left one; say which way it is."""
    saved = checkpoints.newest()
    if saved is not None:
        state.restore(saved)
        log.info("resuming at images %d of %d", state.images_seen, images)
    elif strangers := checkpoints.strangers():
        log.info(
            "starting afresh: what %s holds (%d unfinished) was of other parameters, data or code; delete it at will",
            checkpoints.folder.parent,
            len(strangers),
        )


def fit(
    state: State,
    section: EngineParams,
    step: Callable[[int], Terms],
    checkpoints: Checkpoints,
    review: Callable[[], None] | None = None,
    review_every_images: int | None = None,
) -> None:
    """The loop, from wherever the state is to `section.images` photos: housekeeping, then a step, one counter.

    Args:
        step: takes the images seen, does one step of training and returns its named terms.
        review: looks at the validation photos; at the start, each `review_every_images`, and at the end.

    Raises:
        Fault: a term is not finite.
    """
    journal, began, first = state.journal, time.monotonic(), state.images_seen
    saved_at = began

    def due(every: int | None) -> bool:
        seen = state.images_seen
        return every is not None and (seen >= section.images or seen // every > (seen - section.batch) // every)

    with stage.bar(checkpoints.folder.parent.name, "images", section.images, first) as bar, logging_redirect_tqdm():
        if review is not None and state.images_seen == 0:
            review()
        while state.images_seen < section.images:
            terms = step(state.images_seen)
            state.images_seen += section.batch
            journal.note(state.images_seen, terms)
            bar.update(min(section.batch, section.images - bar.n))
            if due(section.log_every_images):
                _settle(journal, checkpoints)
                means = journal.mean()
                journal.log(state.images_seen, "train", means)
                shown = {name: f"{value:.3g}" for name, value in means.items() if "_" not in name}
                bar.set_postfix(shown, refresh=False)
            if review is not None and due(review_every_images):
                review()
            if time.monotonic() - saved_at >= section.checkpoint_every_s and state.images_seen < section.images:
                _settle(journal, checkpoints)
                checkpoints.save(state.checkpoint())
                saved_at = time.monotonic()
    seconds = max(time.monotonic() - began, 1e-9)
    log.info("%d images in %.0f s, %.3g images/s", state.images_seen - first, seconds, (state.images_seen - first) / seconds)


def _settle(journal: Journal, checkpoints: Checkpoints) -> None:
    found = journal.settle()
    if found is not None:
        images_seen, name = found
        raise Fault(
            f"training stopped at images {images_seen}: {name} is not finite; {checkpoints.last()}. "
            f"Lower the learning rate or the weight of the term, or set precision to float32"
        )


def judge_output(photos: Sequence[Picture], outputs: Sequence[Picture], progress: float) -> str | None:
    """What is plainly wrong with redrawn photos, and what to do; None when nothing is.

    Args:
        progress: how far the run is, 0 to 1; an untrained network may well give the photo back.
    """
    if max(float(output.std(axis=(0, 1)).max()) for output in outputs) < FLAT_LEVELS:
        return "the output is one colour: lower the learning rate or loss.tv_weight, or raise loss.content_weight"
    if progress >= LATE and difference(photos, outputs) < SAME_LEVELS:
        return (
            "the output still equals the photo: raise loss.style_weight or loss.adversarial_weight, "
            "or lower loss.content_weight"
        )
    return None


def difference(photos: Sequence[Picture], outputs: Sequence[Picture]) -> float:
    """Mean absolute difference of pictures, in levels of 255."""
    pairs = zip(photos, outputs, strict=True)
    return sum(float(abs(a.astype("int16") - b).mean()) for a, b in pairs) / len(photos)


def describe(params: Params, sections: Collection[str], vgg: VggWeights, data: str, images_seen: int) -> dict[str, str]:
    """What a file of weights says of its making, besides how to rebuild the network; `sections` are those of params it read.

    The names and places of films and photographs are left out: they are the user's business, and their digest is there.
    """
    recipe = json.dumps(params.model_dump(include=set(sections)), sort_keys=True)
    return {
        **weights.generator_metadata(params.model.generator, params.model.generator_norm),
        "images_seen": str(images_seen),
        "recipe": recipe,
        "recipe_blake2b": hashlib.blake2b(recipe.encode(), digest_size=8).hexdigest(),
        "data_blake2b": data,
        "vgg": vgg.origin,
        "vgg_sha256": vgg.sha256,
        "versions": f"torch {torch.__version__}, safetensors {safetensors.__version__}",
        "licence": "Learned from the films and photographs of whoever trained it, whose rights may bear on its use.",
    }
